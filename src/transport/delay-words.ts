/** The words by which servers name a delay, in English and in the languages whose form is as plain. Data of retry-hint.ts. */

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/).filter((word) => word !== ''));

/** What a client may do after a delay: "retry in 5 minutes". Not "for": "we will retry for 5 days". */
export const actions = words(`
  try again retry resend reconnect resubmit reattempt next-attempt
  versuchen versuche erneut
  réessayer réessayez reessayer reessayez
  intente inténtelo intentelo intentar reintente reintentar
  riprova riprovi riprovare riprovate
  tente tentar
  probeer
  повторите попробуйте
`);

/** How long something lasts: "wait 5 minutes", "blocked for 5 minutes". */
export const waits = words(`
  wait delay delayed deferred
  warten warte patienter patientez attendre attendez espere esperar attendere attendi aguarde aguardar wacht подождите
  blocked locked suspended banned throttled paused limited rate-limited disabled blacklisted blocklisted quarantined penalized
`);

/** What ends by itself: "the limit resets in 5 minutes". */
export const ends = words(
  'back lifted released restored renewed unblocked unlocked reopened cleared reset resets expire expires',
);
/** What ends or breaks for other reasons: "connection reset after 5 minutes", "the password expires in 3 days". */
export const otherEnds = words(`
  connection session socket timeout password certificate licence license subscription trial link token peer
`);

/** What may stand between such a word and its delay. Everything else ends the search: "retry, the limit is 5 a minute". */
export const fillers = words(`
  please then later again be is will out off , sending delivery message messages mail mails mail email emails your this you can may
  could should must to it the connection listed listing time period noch einmal nochmal wieder de à nouveau veuillez
  sie es bitte nuevo por favor otra vez di nuovo novamente het opnieuw
`);

/** What stands before a delay, and is no part of it. */
export const softWords = words(`
  about approximately approx around circa ca another at-least is time period etwa mindestens sie bitte environ au moins al menos lo por
  almeno ao
`);

/** What says that a delay follows, and not a length of something else. */
export const prepositions = words('in after dans après apres en dentro tra fra dopo em após apos nach over na через');
export const durations = words('for by of pendant');

/** Behind a time, these show that it is none to wait: "5 minutes of inactivity", "5 minutes ago", "5 minutes window". */
export const notDelays = words('of ago old per window timeout limit each apart');

const unitNames: readonly (readonly [ms: number, names: string])[] = [
  [1, 'ms millisecond milliseconds'],
  [
    1_000,
    's sec secs second seconds sekunde sekunden seconde secondes segundo segundos secondo secondi seconden secondi сек секунд секунды секунду',
  ],
  [60_000, 'm min mins minute minutes minuten minuto minutos minuti minuut мин минут минуты минуту'],
  [3_600_000, 'h hr hrs hour hours stunde stunden heure heures hora horas ora ore uur uren час часа часов'],
  [86_400_000, 'd day days tag tage tagen jour jours día días dia dias giorno giorni dag dagen день дня дней'],
  [604_800_000, 'week weeks woche wochen semaine semaines semana semanas settimana settimane weken'],
];

/** A unit of time → its length in ms. */
export const units: ReadonlyMap<string, number> = new Map(
  unitNames.flatMap(([ms, names]) => names.split(' ').map((name) => [name, ms] as const)),
);

/** Numbers in words. "A few" and "several" are none. */
export const numbers: ReadonlyMap<string, number> = new Map(
  Object.entries({
    a: 1,
    an: 1,
    one: 1,
    two: 2,
    three: 3,
    four: 4,
    five: 5,
    six: 6,
    seven: 7,
    eight: 8,
    nine: 9,
    ten: 10,
    twelve: 12,
    fifteen: 15,
    twenty: 20,
    thirty: 30,
    sixty: 60,
    ninety: 90,
    ein: 1,
    eine: 1,
    einer: 1,
    einem: 1,
    un: 1,
    une: 1,
    una: 1,
    uma: 1,
    um: 1,
    een: 1,
  }),
);
