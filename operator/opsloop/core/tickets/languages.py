"""Whether a text in Latin letters is written in a language that the model did not learn: by its function words alone.

Cognates make other languages look half known ("sistema", "problem"), so the share of known words does not tell. Articles, pronouns
and the like do: no text of some length goes without them. A word that both languages have tells nothing.
"""

import re
from collections.abc import Mapping

from opsloop.core.tickets.features import fold

_OWN = (
    "he she his her its so if or as an what when how me up out only still since",
    "er habe hat mal per so was wie wenn oder nur schon man mich mir uns sich um als nach aus wieder seit der",
    "par se sa son ses mes nos vos ou si tout rien encore aussi leur leurs qu l d j m s c t",
    "veces vez nada todo ahora tras tan sin sobre si entre ni sus mis te le les una del de a que en",
    "the a and is are was it i we you to of in on for not with my our this that have has can do at but be from they your no all",
    "der die das und ist ich wir sie es nicht ein eine zu mit auf den dem im bei von fur aber auch seit kein keine noch wird haben",
    "le la les un une et est je nous vous il elle ne pas de des du que qui en sur pour dans avec mon ma depuis plus ce cette mais au on",
    "el los las uno unos y es yo no con por para se lo su mi del al desde pero muy hay esta este nos me ya como",
)  # fmt: skip
OWN = frozenset(word for line in _OWN for word in line.split())
OTHER: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "Dutch": "is de in en die dat was we het een van ik wij niet geen ook maar voor naar bij met zijn worden wordt kan kunnen deze onze mijn sinds heb hebben wat hoe waarom aan uit wel nog er jullie graag krijgen krijg meer niets iemand niemand",
        "Italian": "a con la le un una in se lo mi e ed i il gli di che non per sono siamo abbiamo avete ho anche della del dei alla questo questa mio nostro da dal con perche quando dove posso possiamo piu niente nessuno va vorrei come ma ci mi vi tutto sia stato grazie nella nel",
        "Portuguese": "a e de que se no me por un la o os um uma nao sao esta estou estamos voce voces meu minha nosso nossa para por com em no na dos das ao que mais muito quando como desde hoje ainda tambem isso ninguem nada preciso gostaria posso foi tem obrigado obrigada sem",
        "Catalan": "el la les un una de en es no a i els amb aquest aquesta nostre meu meva pot puc no que des dels per tambe molt quan som hi ha cap ningu avui",
        "Romanian": "un o la de a in nu si este sunt sa cu pe din la mai pot putem am avem va rog de azi cand unde cum nimic nimeni meu mea nostru care pentru",
        "Swedish": "i en och att det som inte jag vi ar kan har for med pa av en ett min var vara sedan nar hur ingen ingenting alla igen till fran",
        "Danish": "i en de og at det som ikke jeg vi er kan har for med pa af en et min vores siden nar hvordan ingen intet alle igen til fra kunnet blevet",
        "Norwegian": "i en de og at det som ikke jeg vi er kan har for med pa av en et min mitt var siden nar hvordan ingen ingenting alle igjen til fra",
        "Finnish": "ja ei en emme eivat on ole olen olemme se ne mina me te kuka kukaan mita miten milloin missa mutta etta jos kun voi voin pysty paase paasee lahtien nyt tanaan",
        "Polish": "nie jest sa sie na do od z ze i w nam nas moge mozemy mozna nikt nic prosze jak kiedy gdzie moj moje moja nasz od rana dzis juz przez ale czy dziala",
        "Czech": "neni jsou se na do od z ze a v nam nas muzeme nelze nikdo nic prosim jak kdy kde muj moje nas dnes uz ale nefunguje bude jsme",
        "Croatian": "ne nije je su se na do od iz i u nam nas mogu mozemo nitko niko nista molim kako kada gdje moj moja nas danas vec ali radi od jutros",
        "Hungarian": "a az es nem van egy hogy mi en nekem nekunk ota tudunk tudok senki semmi kerem hogyan mikor hol ma reggel mar meg csak mert de",
        "Turkish": "bir ve bu degil var yok icin ile ben biz bana bize beri kimse hicbir nasil ne zaman nerede lutfen bugun ama cok daha sabahtan mi eder misiniz",
        "Indonesian": "tidak saya kami bisa yang dan di ke dari untuk ini itu sudah belum tolong bagaimana kapan dimana hari pagi sejak",
    }.items()
}  # fmt: skip
# Letters that only other languages put into words; names of people have them too, so one word is not enough
_LETTERS = frozenset("ãõåøłąęśźżćčďěňřšťůžőűșşțţğıăđươạảấầẩậắằặẹẻếềểệỉịọỏốồổộớờởợụủứừửựỳỷỹ")
_WORD = re.compile(r"[^\W\d_]+")
LOOKED_AT = 4000  # characters
ENOUGH = 2  # words


def foreign(text: str) -> str:
    """What another language than English, German, French and Spanish a text is written in, "" if it is one of the four."""
    words = _WORD.findall(text[:LOOKED_AT].lower())
    folded = [fold(word) for word in words]
    theirs = {language: sum(word in known and word not in OWN for word in folded) for language, known in OTHER.items()}
    ours = {language: sum(word in OWN and word not in known for word in folded) for language, known in OTHER.items()}
    language = max(theirs, key=lambda name: (theirs[name] - ours[name], theirs[name]))
    if theirs[language] >= ENOUGH and theirs[language] > ours[language]:
        return language
    marked = sum(not _LETTERS.isdisjoint(word) for word in words)
    own = sum(word in OWN for word in folded)
    return "another language" if marked >= ENOUGH and marked > own else ""
