"""What people call things, and how they complain of them, in four languages: for tickets about storms of other faults.

Written without the operator's word lists: trades that they do not have, forms that no list has ("Fahrplanauskunft" for Fahrplan),
and things whose name says nothing and that only the house's own words tell.
"""

from collections.abc import Mapping, Sequence

LANGUAGES = ("en", "de", "fr", "es")

# Name of the service, and what users of each language call it: the first form is the one a house would write down.
THINGS: Mapping[str, Sequence[str]] = {
    # general: the name says it
    "search-api": ["search/the search box", "Suche/Suchfunktion", "recherche", "búsqueda/el buscador"],
    "payments": ["payment/paying by card", "Zahlung/Kartenzahlung", "paiement", "pago/pagos con tarjeta"],
    "login-gateway": ["login/signing in for everybody", "Anmeldung/das Einloggen bei allen", "connexion", "inicio de sesión/la sesión"],
    "cart-service": ["cart/basket", "Warenkorb", "panier", "carrito/cesta"],
    "mail-sender": ["mail/confirmation mails", "Mails/E-Mail-Versand", "mails/courriels", "correos/correo"],
    "upload-worker": ["upload/uploading files", "Upload/Hochladen von Dateien", "fichiers/dépôt de fichiers", "archivos/subir archivos"],
    "booking-engine": ["booking/bookings", "Buchung/Buchungen", "réservation/réservations", "reserva/reservas"],
    "map-tiles": ["map/maps", "Karte/Kartenansicht", "carte", "mapa"],
    "invoice-renderer": ["invoice download/invoices as PDF", "Rechnungsdownload/Rechnungen als PDF", "factures PDF/les factures en PDF", "facturas en PDF/las facturas"],
    "report-export": ["report export/reports", "Berichte/Berichtsexport", "rapports/export des rapports", "informes/exportar informes"],
    "notification-hub": ["notifications/push messages", "Benachrichtigungen/Push-Nachrichten", "notifications", "notificaciones"],
    "chat": ["chat/the chat window", "Chat/Chatfenster", "chat", "chat"],
    "video-player": ["video/videos", "Video/Videos", "vidéos/lecture vidéo", "vídeos"],
    "calendar-sync": ["calendar", "Kalender/Kalenderabgleich", "calendrier", "calendario"],
    # of a trade: the house says it, "/" between its words; behind "|" what users make of them
    "timetable": ["timetable|timetables", "Fahrplan|Fahrplanauskunft/Fahrpläne", "horaires|horaire", "horarios|horario"],
    "seatplan": ["seat plan/seats|seat plans", "Sitzplan|Sitzplanwahl/Sitzpläne", "plan des sièges/plan de salle", "plano de asientos/asientos|asiento"],
    "labres": ["lab results/blood results|lab result", "Laborwerte/Befunde|Laborbefunde", "résultats d'analyses/analyses|analyse", "resultados de laboratorio/analíticas|analítica"],
    "erx": ["prescriptions|prescription", "Rezepte|Rezept/Rezeptbestellung", "ordonnances|ordonnance", "recetas|receta"],
    "enrol": ["enrolment|enrolments", "Einschreibung/Kursanmeldung|Einschreibungen", "inscriptions|inscription", "matrícula|matrículas"],
    "gradebook": ["grades|grade", "Noten/Notenspiegel|Note", "bulletin de notes/bulletin|bulletins", "calificaciones|calificación"],
    "playlists": ["playlists|playlist", "Playlists/Wiedergabelisten|Wiedergabeliste", "listes de lecture|liste de lecture", "listas de reproducción|lista de reproducción"],
    "loyalty": ["bonus points/points", "Bonuspunkte/Punkte|Punktestand", "points de fidélité|points", "puntos de fidelidad/puntos"],
    "giftcards": ["gift cards/gift vouchers|gift card", "Gutscheine|Geschenkgutschein/Gutscheincode", "chèques cadeaux/cartes cadeaux|carte cadeau", "tarjetas regalo|tarjeta regalo/vales"],
    "meterread": ["meter readings|meter reading", "Zählerstand|Zählerstandserfassung/Zählerstände", "relevés de compteur|relevé de compteur", "lecturas del contador|lectura"],
    "tariffcalc": ["tariff calculator/tariffs|tariff", "Tarifrechner|Tarife", "simulateur de tarif/tarifs", "calculadora de tarifas/tarifas|tarifa"],
    "doorlock": ["door opener/doors|door", "Türöffner/Türen|Tür", "ouverture des portes/portes|porte", "apertura de puertas/puertas|puerta"],
    "wx": ["weather|weather forecast", "Wetter|Wetterbericht", "météo|prévisions météo", "previsión del tiempo|previsión"],
    "fleetpos": ["vehicle positions/vans|van", "Fahrzeugpositionen|Fahrzeugposition/Fahrzeuge", "position des véhicules/véhicules|véhicule", "posición de los vehículos/vehículos"],
    "dunning": ["reminder letters|reminder letter", "Mahnungen|Mahnung/Mahnlauf", "lettres de relance/relances|relance", "cartas de reclamación|carta de reclamación"],
    "shiftplan": ["shift plan/rota|shift plans", "Dienstplan|Dienstplanung/Dienstpläne", "planning|plannings", "cuadrante/turnos|turno"],
    "customsdocs": ["customs papers|customs", "Zollpapiere|Zollpapier", "documents de douane/douane", "documentos de aduana/aduana|aduanas"],
    "scanpick": ["hand scanners/scanner|scanners", "Handscanner|Handscannern", "douchettes|douchette", "pistolas/lectores|pistola"],
    "pollbox": ["surveys|survey", "Umfragen|Umfrage/Umfrageergebnisse", "sondages|sondage", "encuestas|encuesta"],
    "dict": ["dictionary|dictionaries", "Wörterbuch|Wörterbücher/Wörterbuchsuche", "dictionnaire|dictionnaires", "diccionario|diccionarios"],
    "subs": ["subtitles/captions|subtitle", "Untertitel|Untertiteln", "sous-titres|sous-titre", "subtítulos|subtítulo"],
    "kiosk": ["kiosk|kiosks", "Terminals|Terminal/Selbstbedienungsterminal", "bornes|borne", "quioscos/terminales|terminal"],
}  # fmt: skip
GENERAL = frozenset(list(THINGS)[:14])  # a house need not say what these are called

# {} = the thing, as a noun with nothing before it
FAIL: Mapping[str, Sequence[str]] = {
    "en": [
        "{}: nothing but errors since this morning", "{} doesn't work any more, I get a red error box every time",
        "{} is down. Whole office affected.", "error 500 with {}", "Can't use {} at all today, it ends in an error.",
        "Dear team, I am sorry to trouble you, but {} seems to be failing for all of us since about an hour. Kind regards, Ruth",
        "{} BROKEN!!! FIX IT", "so I tried {} on the phone and on the laptop and both times it said something went wrong",
        "since 10 o clock {} not working, customers is waiting, please help", "{} fails every second time since lunch",
    ],
    "de": [
        "{}: seit heute früh nur noch Fehler", "{} geht nicht mehr, es kommt jedes Mal eine Fehlermeldung", "{} ist ausgefallen, bei allen im Büro",
        "Fehler 500 bei {}", "Guten Tag, leider funktioniert {} seit etwa einer Stunde bei keinem von uns. Mit freundlichen Grüßen, R. Baum",
        "{} KAPUTT!!! seit heute morgen", "hab {} am handy und am laptop probiert, beide male abgestürzt", "{} bricht seit Mittag jedes zweite Mal ab",
    ],
    "fr": [
        "{} : que des erreurs depuis ce matin", "{} ne marche plus, j'ai un message d'erreur à chaque fois", "{} en panne, tout le bureau est touché",
        "erreur 500 sur {}", "Bonjour, {} semble ne plus fonctionner depuis environ une heure pour toute l'équipe. Cordialement, M. Petit",
        "{} PLANTÉ !!! depuis ce matin", "j'ai essayé {} sur le téléphone et sur l'ordi, ça plante les deux fois", "{} échoue une fois sur deux depuis midi",
    ],
    "es": [
        "{}: solo errores desde esta mañana", "{} ya no funciona, me sale un error cada vez", "{} se ha caído, toda la oficina está igual",
        "error 500 en {}", "Buenos días, {} no funciona desde hace una hora para nadie del equipo. Un saludo, P. Gil",
        "{} ROTO!!! desde hoy", "he probado {} en el móvil y en el portátil y las dos veces falla", "{} falla una de cada dos veces desde mediodía",
    ],
}  # fmt: skip
SLOW: Mapping[str, Sequence[str]] = {
    "en": ["{} is terribly slow today, half a minute for each click", "waiting ages for {}, it does come in the end", "{} takes 40 seconds since this morning. It used to be instant.", "Hello, is it only me or is {} crawling? Regards, T."],
    "de": ["{} ist heute furchtbar langsam, eine halbe Minute pro Klick", "warte ewig auf {}, irgendwann kommt es dann", "{} braucht seit heute früh 40 Sekunden, sonst ging das sofort", "Hallo, {} ist sehr zäh, es lädt und lädt. Gruß T."],
    "fr": ["{} très lent aujourd'hui, une demi-minute par clic", "j'attends une éternité pour {}, ça finit par arriver", "{} met 40 secondes depuis ce matin, avant c'était immédiat", "Bonjour, {} rame énormément. Merci, T."],
    "es": ["{} va lentísimo hoy, medio minuto por clic", "espero una eternidad con {}, al final llega", "{} tarda 40 segundos desde esta mañana, antes era inmediato", "Hola, {} va muy lento, carga y carga. Saludos, T."],
}  # fmt: skip
DRY: Mapping[str, Sequence[str]] = {
    "en": ["{}: nothing new has arrived since this morning", "no {} today, usually there are dozens by now"],
    "de": ["{}: seit heute früh kommt nichts mehr an", "heute fehlen {}, sonst sind es um diese Zeit Dutzende"],
    "fr": ["{} : plus rien n'arrive depuis ce matin", "il manque {} aujourd'hui, d'habitude il y en a des dizaines"],
    "es": ["{}: desde esta mañana no llega nada", "hoy faltan {}, normalmente a esta hora hay decenas"],
}  # fmt: skip
ALL: Mapping[str, Sequence[str]] = {
    "en": ["Nothing works any more, only error pages", "Is everything down? I can't do anything", "whole site dead, everyone here has it"],
    "de": ["Nichts geht mehr, nur noch Fehlerseiten", "Ist alles ausgefallen? Ich kann gar nichts machen", "ganze seite tot, bei allen hier"],
    "fr": ["Plus rien ne marche, que des pages d'erreur", "Tout est en panne ? Je ne peux rien faire", "site complètement mort, chez tout le monde ici"],
    "es": ["Ya no funciona nada, solo páginas de error", "¿Está todo caído? No puedo hacer nada", "toda la web muerta, a todos nos pasa"],
}  # fmt: skip
BOTH: Mapping[str, str] = {
    "en": "{}. And another thing: {}",
    "de": "{}. Außerdem: {}",
    "fr": "{}. Et aussi : {}",
    "es": "{}. Y además: {}",
}

# Of nothing that fails now, though the thing is named
CALM: Mapping[str, Sequence[str]] = {
    "en": [
        "How do I switch {} to another language?", "It would be lovely to have {} in dark colours", "I was charged twice for {} in May, please refund one",
        "Last week {} was down for an hour, it has been fine since", "{} has always shown the wrong icon, for years now, not urgent", "{} works perfectly, no errors at all, thank you!",
        "Please add a shortcut to {}", "Which plan includes {}?", "I forgot my password for {}",
    ],
    "de": [
        "Wie stelle ich {} auf eine andere Sprache um?", "Es wäre schön, {} auch in dunklen Farben zu haben", "Für {} wurde mir im Mai zweimal Geld abgebucht, bitte einmal erstatten",
        "Letzte Woche war {} eine Stunde lang ausgefallen, seitdem ist alles in Ordnung", "{} zeigt schon seit Jahren das falsche Symbol, nicht eilig", "{} läuft einwandfrei, keine Fehler, danke!",
        "Ich habe mein Passwort für {} vergessen",
    ],
    "fr": [
        "Comment mettre {} dans une autre langue ?", "Ce serait bien d'avoir {} en mode sombre", "On m'a débité deux fois pour {} en mai, merci de rembourser",
        "La semaine dernière {} était en panne une heure, depuis tout va bien", "{} affiche depuis des années la mauvaise icône, rien d'urgent", "{} fonctionne parfaitement, aucune erreur, merci !",
    ],
    "es": [
        "¿Cómo pongo {} en otro idioma?", "Estaría bien tener {} en modo oscuro", "Me cobraron dos veces por {} en mayo, devuélvanme uno",
        "La semana pasada {} estuvo caído una hora, desde entonces va bien", "{} muestra desde hace años el icono equivocado, no corre prisa", "{} funciona perfectamente, sin errores, ¡gracias!",
    ],
}  # fmt: skip
# Nobody's fault here
ELSEWHERE: Mapping[str, Sequence[str]] = {
    "en": ["My own printer at home is jammed again, can you tell me who repairs those?", "hi", "When does your office open on Monday?"],
    "de": ["Unser eigener Drucker im Büro klemmt, wer repariert so etwas?", "hallo", "Wann haben Sie am Montag geöffnet?"],
    "fr": ["Notre imprimante au bureau est bloquée, qui répare cela ?", "bonjour", "Quand ouvrez-vous lundi ?"],
    "es": ["Nuestra impresora de la oficina está atascada, ¿quién la repara?", "hola", "¿Cuándo abren el lunes?"],
}  # fmt: skip
# How a mail may be wrapped: signature, quoted thread, disclaimer
WRAPS: Sequence[str] = (
    "{}", "{}", "{}", "{}\n\n-- \nSent from my phone", "{}\n\nOn Mon, 1 Jun 2026 at 09:12, Support <help@example.com> wrote:\n> Your search and your payment were restored yesterday.\n> Please rate the chat.",
    "{}\n\nThis e-mail is confidential. If you have received it in error please notify the sender.", "<html><body><p>{}</p></body></html>",
)  # fmt: skip
