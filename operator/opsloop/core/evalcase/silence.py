"""Why there is no answer: named reasons that blame neither the version nor pass it."""

# Named reasons
UNREACHABLE = "Unreachable"  # no connection to the pod: refused, or not within request.timeoutSeconds
TIMED_OUT = "ReplyTimedOut"  # the pod took the request and did not reply within request.timeoutSeconds
BROKEN_OFF = "BrokenOff"  # the pod closed the connection before the reply was whole
TLS_FAILED = "TlsFailed"  # the pod's certificate is for another name or of an unknown authority, or it speaks no TLS
REQUEST_UNFIT = "RequestUnfit"  # the request cannot be sent as the case has it
REPLY_TOO_LONG = "ReplyTooLong"  # what is expected may stand behind the part of the reply that is read
SECRET_MISSING = "SecretMissing"  # there is no such Secret, or it has no such key
SECRET_FORBIDDEN = "SecretForbidden"  # opsloop may not get the Secret
SECRET_UNFIT = "SecretUnfit"  # the Secret's value cannot be a header, or is too short to be kept out of messages
CASE_INVALID = "CaseInvalid"  # the case asks for what cannot be evaluated; its message names the field
LOAD_LATE = "LoadLate"  # opsloop itself could not send the load at its rate, so what it measured says nothing
NO_POD = "NoPod"  # no ready pod of the Release could be asked
