"""Load on the intake: many alerts in a minute, very many on one Incident, the operator killed in the middle."""
