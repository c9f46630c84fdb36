"""How people write to a shop: openings, closings, and for each kind of ticket several ways to say it.

In braces stand a name, an amount, an order, a day, and (in reports of the fault) what was asked, got and expected.
"""

from __future__ import annotations

OPENINGS = ("Hello,", "Hi there,", "Good morning,", "Dear team,", "hey", "To whom it may concern:")
CLOSINGS = ("Thanks, {name}", "Regards, {name}", "Please look into it. {name}", "{name}", "Best wishes, {name}",
            "Could somebody write back? {name}")  # fmt: skip
NAMES = ("Ana", "Bo", "Chidi", "Dara", "Elif", "Femke", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena", "Mirek")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

LINKED = (
    ("Wrong answers since this morning",
     'Since this morning your help answers are wrong. I asked "{asked}" and was told: "{got}" '
     'Yesterday it still said: "{expected}"'),
    ("The help contradicts your own page",
     'I typed "{asked}" into the question box an hour ago. It says "{got}" but your page says "{expected}" '
     "Which of the two holds? Last week the box had it right."),
    ("Incorrect information today",
     'Our customers get incorrect information from you today. Question: "{asked}" Reply: "{got}" '
     'It should be: "{expected}" We tried it on three computers.'),
    ("Your assistant makes things up",
     'Your assistant was fine until today, now it tells nonsense. "{asked}" gets me "{got}", '
     'and that is simply not true: "{expected}"'),
    ("Outdated answer, suddenly",
     'Something must have changed on your side: "{asked}" is suddenly answered with an outdated "{got}" '
     'All of last month the answer was "{expected}" Other things I asked were answered well.'),
    ("Answers are wrong or do not come at all",
     "Today every second thing that I ask about this is wrong, takes ages, or ends in an error. "
     'An example: "{asked}" Answer: "{got}" Right would be: "{expected}"'),
    ("Told two different things",
     'I nearly made a decision on a false reply. The chat said "{got}" when I asked "{asked}" this morning; '
     'a colleague who asked yesterday got "{expected}"'),
)  # fmt: skip

BILLING = (
    ("Charged twice", "my card was charged twice for order {order}: two times {amount} euros on {day}."),
    ("Double payment on my statement", "the bank shows two payments of {amount} euros for one order ({order})."),
    ("Please give me {amount} euros back", "on {day} you took {amount} euros two times. I ordered once, {order}."),
    ("Two debits, one order", "order {order} appears twice on my credit card bill, each with {amount} euros."),
    ("Paid double", "I paid {amount} euros by card on {day}, and the same sum went off again at night. Order {order}."),
    ("Duplicate charge for {order}", "there is a duplicate charge of {amount} euros. I want one of them refunded."),
)  # fmt: skip

ACCOUNT = (
    ("Cannot log in", "I forgot my password and the reset mail does not come. My customer number is {order}."),
    ("Password reset", "please reset the password of my account {order}; the phone with the second factor is lost."),
    ("Locked out", "my account {order} is locked after I mistyped the password on {day}. Please unlock it."),
    ("New mail address", "I have a new mail address and cannot confirm the change, as the link goes to the old one."),
    ("Account of my late father", "how can the account {order} of my late father be closed? I have no password."),
    ("Two accounts", "I seem to have two accounts, one with {order}. Please merge them, I know only one password."),
)  # fmt: skip

FEATURE = (
    ("Dark mode", "it would be lovely to have a dark mode, I mostly shop late on {day}s."),
    ("Idea: wish lists", "could you add wish lists that I can share with my family? I would pay {amount} euros for it."),
    ("Suggestion", "please let us sort by energy use. I compared lamps all {day} and made a table by hand."),
    ("A calendar would help", "I wish that I could put the day of a delivery into my calendar with one click."),
    ("Pay in instalments?", "would you consider instalments for sums above {amount} euros? Others offer it."),
    ("Please support passkeys", "a sign-in with passkeys would be a great addition, {day} is password day otherwise."),
)  # fmt: skip

QUESTION = (
    ("How do I change the language?", "where can I switch the pages to Spanish? I looked around all {day}."),
    ("Opening hours", "is your shop in the old town open next {day}? I would come by with {name}."),
    ("Can I visit your warehouse?", "our class of {amount} pupils would like to see a warehouse. Whom do I ask?"),
    ("How to order as a school", "how can a school order {amount} lamps at once? Is there a form for that?"),
    ("Which lamp fits?", "which bulb goes into the desk lamp of order {order}? It says nothing below."),
    ("Newsletter", "how do I get the newsletter only once a month? It comes each {day} at the moment."),
)  # fmt: skip

NEAR_MISS = (
    ("Slow pages last week", "last {day} your pages were terribly slow for an hour. It is fine now, I just wanted to say."),
    ("Label does not print", "the label of order {order} prints in the wrong size on my printer. It did so in spring too."),
    ("Wrong on the phone", "three weeks ago a person on the phone gave me a wrong price, {amount} euros too much. It was settled."),
    ("Toaster app crashes", "the app of the toaster that I bought ({order}) shows wrong temperatures since its own update in May."),
    ("Wrong colour", "the lamp of order {order} came in the wrong colour on {day}. I keep it, but check your boxes."),
    ("Error in the printed catalogue", "page {amount} of the printed autumn catalogue has a wrong picture."),
)  # fmt: skip
