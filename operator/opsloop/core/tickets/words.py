"""What services are called: the parts of their names, and what people generally call such a thing.

`ROLES` is a thesaurus of what services are for in any trade, keyed by the parts that names are made of. How users of one house call one
service stands in that Release's `spec.knownAs`.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

# Parts of services' names | words of users, English, German, French, Spanish; `*` = any ending. Most general last: they name little.
_ROLES = (
    ("cart basket", "cart basket bag trolley warenkorb einkaufswagen panier carrito cesta add_to_cart"),
    ("payment pay payments billing", "pay paying paid payment* card cards visa mastercard paypal debit bank bezahl* zahl* karte* kreditkarte* paiement* payer carte* pago pagos pagar tarjeta*"),
    ("checkout order orders purchase", "checkout check_out order ordering orders purchase* buy buying confirm bestell* kaufen kasse command* acheter achat* pedido* pedir comprar compra*"),
    ("shipping shipment delivery", "shipping delivery deliver postage shipment* freight parcel* courier address versand* lieferung* porto zustell* livraison* livrer expedition envio* entrega*"),
    ("quote pricing price rate-calc", "quote* estimate* shipping postage price prices preis* angebot* prix devis precio* presupuesto*"),
    ("recommendation recommender suggestions", "recommend* suggest* also_like you_may_also might_also empfehl* vorschlag* recommand* suggestion* recomend* sugerenc*"),
    ("product catalog catalogue inventory item stock", "product products item items catalog catalogue article* stock artikel produkt* katalog* sortiment lager* produit* catalogue stock producto* catalogo articulo*"),
    ("detail details info", "detail details description* beschreibung* fiche description descripcion* ficha*"),
    ("review reviews comment", "review* comment comments bewertung* rezension* avis commentaire* opinion* resena*"),
    ("rating ratings score", "rating* stars sterne* bewertung* note notes etoile* estrella* valoracion*"),
    ("search find query", "search* find finding results suche* finden ergebnis* recherche* chercher resultat* busqueda* buscar resultado*"),
    ("accounting ledger finance bookkeeping", "ledger accounting accounts bookkeeping finance sales revenue buchhaltung umsatz* comptabilite ventes contabilidad ventas"),
    ("invoice", "invoice* bill bills rechnung* facture* factura*"),
    ("auth login identity sso session", "login log_in log_on logged_in sign_in signin signing_in password* anmeld* einlogg* passwort* kennwort* connexion connecter mot_de_passe sesion contrasena* acceder"),
    ("account user profile customer", "account accounts profile konto profil compte profil cuenta perfil"),
    ("email mail smtp", "mail mails email emails confirmation* bestatigung* courriel* mails correo* confirmacion*"),
    ("notification notify push sms", "notification* push sms reminder* benachrichtig* erinnerung* rappel* notificacion* aviso*"),
    ("currency exchange forex", "currency currencies conversion euro euros dollar dollars pounds exchange wahrung* wechselkurs* devise* monnaie moneda* divisa*"),
    ("ad ads advert", "ad ads advert* banner banners werbung anzeige* publicite* anuncio*"),
    ("image images media photo picture thumbnail", "image images picture pictures photo photos bild bilder foto fotos photos imagen* fotos"),
    ("fraud risk", "fraud betrug* fraude*"),
    ("answer answers assistant chatbot bot help llm faq", "answer answers answered asked assistant bot chatbot reply replies information antwort* auskunft* assistent* reponse* assistant* renseignement* respuesta* asistente*"),
    ("chat message messages messaging", "chat chats message messages nachricht* messagerie messages mensaje*"),
    ("booking reservation appointment calendar schedule", "book booking bookings reserv* appointment* calendar slot buch* termin* kalender rendez_vous calendrier cita citas calendario"),
    ("tracking track location map maps geo", "tracking track position positions map maps parcel verfolgung karte standort* suivi position* carte seguimiento posicion* mapa*"),
    ("upload file files document documents storage attachment", "upload* file files document* attachment* hochladen datei* dokument* anhang* fichier* document* piece_jointe subir archivo* documento* adjunto*"),
    ("report reports export analytics dashboard stats", "report reports export* dashboard* chart charts statistic* bericht* auswertung* rapport* tableau_de_bord informe* estadistic*"),
    ("print printer label labels", "print* label labels druck* etikett* imprim* etiquette* imprim* etiqueta*"),
    ("video stream streaming player playback", "video videos stream streaming player ruckel* flux lecture"),
    ("ticket ticketing", "ticket tickets karten eintrittskarte* billet* entrada*"),
    ("record records chart patient", "record records chart charts akte* dossier* historia* ficha*"),
    ("exam quiz grade grades homework", "exam* quiz grade grades homework prufung* noten hausaufgabe* examen* devoir* nota notas deberes"),
    ("transfer transfers wire", "transfer transfers uberweis* virement* transferencia*"),
    ("balance statement statements", "balance statement* kontostand kontoauszug* solde releve* saldo extracto*"),
    ("queue worker dispatch pick warehouse fulfilment fulfillment", "warehouse picking pick packing slip dispatch lager* kommission* entrepot preparation almacen*"),
    ("frontend web ui site portal storefront homepage gateway www page productpage", "site website homepage page pages shop portal start_page seite* webseite startseite boutique accueil sitio pagina* tienda portal everything"),
)  # fmt: skip
Words = Mapping[str, tuple[str, ...]]  # part of a name → words of users


@lru_cache(maxsize=1)
def roles() -> Words:
    """The thesaurus."""
    found: dict[str, tuple[str, ...]] = {}
    for parts, words in _ROLES:
        for part in parts.split():
            found[part] = (*found.get(part, ()), *words.split())
    return found


@lru_cache(maxsize=4096)
def names_a_kind(word: str) -> bool:
    """True of a word by which people call some kind of service, a cart or a till, whatever its own name."""
    entries = {entry for words in roles().values() for entry in words if "_" not in entry}
    return word in entries or any(entry.endswith("*") and word.startswith(entry[:-1]) for entry in entries)


@lru_cache(maxsize=4096)
def own_words_of(service: str) -> tuple[str, ...]:
    """The parts of a service's name that say what it is for, in the singular."""
    parts = (part for part in _SPLIT.split(service.lower()) if part not in _EMPTY)
    return tuple(dict.fromkeys(stem for part in parts if len(stem := part.removesuffix("s")) >= 2))


@lru_cache(maxsize=4096)
def general_words(service: str) -> tuple[str, ...]:
    """What a thing is called in general that has such a name; `*` = any ending, `_` between the words of a phrase."""
    parts = [part for part in _SPLIT.split(service.lower()) if part not in _EMPTY and len(part.removesuffix("s")) >= 2]
    words = [_words_of_part(part) for part in parts]
    telling = [found for found in words if found and found != _SITE]  # a "login-gateway" is no site
    return tuple(dict.fromkeys(word for found in telling or words for word in found))


def _words_of_part(part: str) -> tuple[str, ...]:
    longest = (words for size in range(len(part), 3, -1) if (words := roles().get(part[:size])))
    return roles().get(part) or roles().get(part.removesuffix("s")) or next(longest, ())


_SITE = tuple(_ROLES[-1][1].split())
_SPLIT = re.compile(r"[^a-z0-9]+")
# Parts of names that say what a thing is made of and not what it is for
_EMPTY = frozenset(
    [
        "service",
        "services",
        "svc",
        "api",
        "server",
        "app",
        "backend",
        "worker",
        "db",
        "database",
        "cache",
        "proxy",
        "v1",
        "v2",
        "v3",
        "prod",
        "default",
        "main",
    ]
)
