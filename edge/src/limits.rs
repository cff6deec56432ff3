//! What the edge bounds, why at that number, and what happens when it is reached.

use core::time::Duration;

use seawall_core::policy::Reach;

/// Longest path that is looked at; a longer one is 414. The site's longest is under 40 bytes, and a cache key or
/// a log line has no use for more.
pub const PATH_BYTES_MAX: usize = 1024;

/// Longest query; a longer one is 414. A search box needs a fraction of it.
pub const QUERY_BYTES_MAX: usize = 2048;

/// Longest host name with its port (RFC 1035 gives 253 to the name); a longer one is 400.
pub const HOST_BYTES_MAX: usize = 260;

/// Longest method; a longer one is 501. The longest that IANA has registered is 17 bytes.
pub const METHOD_BYTES_MAX: usize = 32;

/// Most parts that a `Range` may ask an origin for, where the cache has no part in the answer. A reader of a long file
/// asks for one, seldom for two.
pub const RANGES_MAX: usize = 2;

/// Most fields that `Connection` may name as hop-by-hop; a request naming more is 400. No client names three.
pub const CONNECTION_OPTIONS_MAX: usize = 16;

/// Clients counted by one isolate itself. At 300 requests of debt each this is more than an isolate can serve;
/// when all are in use the one that owes least gives way (`seawall_core::limit::table`).
pub const LOCAL_COUNTERS: usize = 16_384;

/// Refusals one isolate remembers, so that a client that was refused costs no further call until its wait is
/// over. When all are in use the one that ends soonest is asked again.
pub const DENIALS_REMEMBERED: usize = 4096;

/// Authorities that share the keys of shared limits. One object answers about 1,000 calls a second (Cloudflare's
/// published soft limit), so this many carry 32,000.
pub const AUTHORITY_SHARDS: u64 = 32;

/// Keys that one authority keeps, each one client under one limit until its debt is earned back. All of them
/// together hold half a million; when one is full, the key that owes least gives way
/// (`seawall_core::limit::table`).
pub const AUTHORITY_KEYS: usize = 16_384;

/// Keys of limits that are shared out among isolates, in one authority. Each takes about 400 bytes for each isolate
/// that was heard in the last minute; when all are in use, the key that owes least gives way.
pub const AUTHORITY_LEDGERS: usize = 4096;

/// The newest answers of one authority, for questions that are sent again: what it answers in half a second, when it
/// answers a thousand times a second. A question that is sent again later than that is decided again.
pub const ANSWERS_REMEMBERED: usize = 512;

/// Keys of which one isolate may hold units. When all are in use, the key that would be forgotten soonest gives way;
/// what was held of it is lost until its lease ends.
pub const SPENDERS: usize = 4096;

/// From how long on a refusal's wait is lengthened at random. Waits are told in whole seconds, so a tenth of a shorter
/// one would spread nobody.
pub const JITTER_FROM: Duration = Duration::from_secs(10);

/// Most tries of one call to the origin, whatever the policy allows: a visitor waits, and each isolate has a budget
/// of its own.
pub const ATTEMPTS_MAX: u32 = 2;

/// Longest wait before a second try. An origin that asks for more is not tried again: a visitor would rather have the
/// stored page, or know.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(1);

/// Calls to the origin that one isolate follows for collapsing. Above it a request goes out alone.
pub const FLIGHTS_MAX: usize = 1024;

/// Most requests that wait for one call. A page that everybody asks for at once is within it; beyond it a slow page
/// would hold connections that other pages need.
pub const FOLLOWERS_MAX: u32 = 512;

/// How often a request follows, each time another leader, before it goes out alone: leaders that store nothing would
/// otherwise keep it waiting in turn.
pub const FOLLOW_ROUNDS_MAX: u32 = 8;

/// Requests of one isolate that wait for another one's response. Above it a request looks again at once, and so goes
/// out soon: a crowd of that size is better spent on the breaker than on patience.
pub const WAITERS_MAX: usize = 4096;

/// URLs whose last call failed and whose waiting requests are yet to be told. When all places are in use, some of
/// those requests make a call of their own.
pub const FAILURES_REMEMBERED: usize = 1024;

/// How long such a failure is kept: until the last of those who waited, and were woken by it, has looked.
pub const FAILURE_REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// URLs whose last shared call has ended, for requests that looked before and would ask after. When all places are in use,
/// some of those requests make a call of their own.
pub const LANDINGS_REMEMBERED: usize = 1024;

/// How long such an end is kept: longer than a request waits for stores and limits before it asks.
pub const LANDING_REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// Calls in a row that outlived the patience of who asked before nobody waits for the upstream whom a stored page can serve:
/// one slow page is no sign, nor are two.
pub const SILENT_CALLS: u32 = 3;

/// How long after the last such call, or the last that ended without an answer, that is believed: an upstream may have come back
/// in a quiet hour, and who comes after it finds out.
pub const SILENCE_REMEMBERED_FOR: Duration = Duration::from_secs(120);

/// URLs of which is known that the call for them takes long. One that is forgotten costs a visitor his patience.
pub const SLOW_REMEMBERED: usize = 1024;

/// How long that is known, or for as long as the call may take if that is longer: an outage is longer, and each call for
/// the URL renews it.
pub const SLOW_REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// How long after its upstream's deadline a call counts as lost, so that the next request for its key may lead: a
/// cancelled request runs no code that could say so.
pub const FLIGHT_MARGIN: Duration = Duration::from_secs(5);

/// Objects among which the keys of one point of presence are spread, where isolates share calls: one answers about 1,000
/// questions a second, and a miss asks two.
pub const POP_SHARDS: u64 = 8;

/// Calls under way that one such object follows; above it isolates go by themselves. Each takes about 100 bytes.
pub const POP_FLIGHTS_MAX: usize = 16_384;

/// Most questions of isolates that wait for one call: a hundred isolates that look ten times. Above it one goes by itself.
pub const POP_FOLLOWERS_MAX: u32 = 1024;

/// How often an isolate looks whether another one's call has ended: as long as any lease, one look in 400 ms.
pub const POP_LOOKS_MAX: u32 = 64;

/// How long after its upstream's deadline an isolate's call counts as lost, so that another isolate may make it: its body
/// is stored by then, or will not be.
pub const POP_MARGIN: Duration = Duration::from_secs(2);

/// URLs whose last response could not be stored; their requests go out side by side instead of one after another.
pub const UNCOLLAPSED_KEYS: usize = 1024;

/// How long such a URL is remembered.
pub const UNCOLLAPSED_FOR: Duration = Duration::from_secs(120);

/// The same of a part of one, whose ranges are without number: those who wait for it go on, and its place is free again.
pub const PART_UNCOLLAPSED_FOR: Duration = Duration::from_secs(1);

/// What a client is told to wait when the origin did not answer and no breaker knows better.
pub const RETRY_AFTER_UNREACHABLE: Duration = Duration::from_secs(5);

/// Bytes of responses that one isolate keeps in its memory. An isolate of Cloudflare's has 128 MB for everything.
pub const MEMORY_BYTES_MAX: usize = 16 << 20;

/// Longest response that it keeps there: pages, scripts and styles, not photographs.
pub const MEMORY_ENTRY_BYTES_MAX: usize = 128 << 10;

/// Most responses and indexes of variants that it keeps there.
pub const MEMORY_ENTRIES_MAX: usize = 512;

/// URLs whose way through the policy an isolate remembers: those of its hot responses, and some room for chance.
pub const PLACES_REMEMBERED: usize = 256;

/// Longest URL among them. Those that are asked for often are short.
pub const PLACE_URL_BYTES_MAX: usize = 256;

/// How long a response in an isolate's memory is believed after it was read from the second tier, where other isolates
/// replace and invalidate what is stored. Within the five seconds that a purge may take.
pub const MEMORY_BELIEVED_FOR: Duration = Duration::from_secs(4);

/// Longest response that goes to the far store: it is read and written whole, through memory.
pub const FAR_ENTRY_BYTES_MAX: u64 = 1 << 20;

/// Longest time that one is kept there. Who wants it after a day can ask the origin.
pub const FAR_KEEP_MAX: Duration = Duration::from_secs(86_400);

/// Shortest lifetime that is worth the way: Cloudflare's KV keeps nothing for less, and shows a change in other places
/// up to so long after it.
pub const FAR_LIFETIME_MIN: Duration = Duration::from_secs(60);

/// How long the mark of something forgotten stays nearby: until it has gone from the far store, as seen from here.
pub const GONE_FOR: Duration = Duration::from_secs(120);

/// How often an isolate that serves asks the purge log for what is new: each is a call, and a thousand isolates make 500
/// a second, which is what one object bears with ease.
pub const PURGE_ASKED_EVERY: Duration = Duration::from_secs(2);

/// How long what an isolate knows of the purge log counts. With the deadline of a question, and where the log is a note with
/// [`PURGE_SEEN_TO`] too, it is below the five seconds in which a purge is effective everywhere.
pub const PURGE_KNOWN_FOR: Duration = Duration::from_millis(3_800);

/// When an isolate that wrote a purge into a note looks whether it is still there. Who read the note before and writes it
/// after has done so within [`PURGE_DEADLINE`]; the second look is for a store that is slow.
pub const PURGE_SEEN_TO: [Duration; 2] = [Duration::from_millis(600), Duration::from_millis(1_400)];

/// How long a request waits for the purge log before it goes on without.
pub const PURGE_DEADLINE: Duration = Duration::from_millis(500);

/// How long after a failure the purge log is left alone: while it is away, few requests wait for it.
pub const PURGE_RETRIED_AFTER: Duration = Duration::from_secs(1);

/// Purges in one request of an operator.
pub const PURGE_ORDERS_MAX: usize = 256;

/// Purges that operators may order in a minute, all of them together: one page in sixty milliseconds, and as many as the log
/// remembers, so that a script that runs away empties the caches once a minute at most. More is 429.
pub const PURGE_ORDERS_PER_MINUTE: u32 = 1024;

/// Longest body of such a request.
pub const PURGE_BODY_BYTES_MAX: usize = 64 << 10;

/// Origins that are tried for one request. A site has one or two; beyond this a visitor has no time left.
pub const ORIGINS_MAX: usize = 4;

/// Answers from isolate memory that are counted before a line says so. At 20,000 a second, which is more than an isolate
/// serves, that is one line in half a second.
pub const TALLY_MAX: u32 = 10_000;

/// How long they are counted: as late as a graph may be.
pub const TALLY_FOR: Duration = Duration::from_secs(10);

// A lead of this isolate that waited for another one's outlasts both.
const _: () = assert!(POP_MARGIN.as_millis() < FLIGHT_MARGIN.as_millis());
// Answers of an authority arrive before a visitor gives up, whatever the policy's deadlines are.
const _: () = assert!(Reach::DEADLINE.end().as_millis() < FLIGHT_MARGIN.as_millis());
