/** Every bound in one place, each with the reason for its number. Times in milliseconds, sizes in bytes. */

/** GitHub caps a webhook payload at 25 MB (docs.github.com, "Webhook events and payloads"). */
export const WEBHOOK_BODY_MAX_BYTES = 25 * 1024 * 1024;

/**
 * A sender that has not delivered its whole request by then is cut. GitHub itself gives up on us after 10 s; Node looks twice a second, so
 * that this is over by then.
 */
export const WEBHOOK_RECEIVE_TIMEOUT_MS = 9_000;

/** Bodies that are being received at the same time, together: four of the largest, or thousands of the usual 30 kB. */
export const WEBHOOK_BODIES_MAX_BYTES = 100 * 1024 * 1024;

/** Connections beyond are closed at once. GitHub uses a handful; a flood must not take the file descriptors of everything else. */
export const WEBHOOK_CONNECTIONS_MAX = 1_000;

/**
 * A connection on which nothing moves while we have its request is cut after so long; GitHub has given up by then. A delivery is answered before: PostgreSQL
 * is waited for 8 s, 5 more to connect to it.
 */
export const WEBHOOK_SEND_TIMEOUT_MS = 20_000;

/** Requests of one connection whose answers have not left; one with more is cut. GitHub and proxies wait for each answer. */
export const WEBHOOK_IN_HAND_MAX = 4;

/** An idle connection is kept this long: longer than Caddy's two minutes, so that it is never we who close one that Caddy is about to use. */
export const WEBHOOK_KEEP_ALIVE_MS = 125_000;

/** Bad signatures of one address in a minute that get a 401 and a line in the log each; beyond, 429 and silence. Good ones are never counted. */
export const BAD_SIGNATURES_PER_MINUTE = 60;

/** Deliveries that may wait for the next commit. At 64 connections a batch holds 64; this only matters when PostgreSQL stalls. */
export const INTAKE_QUEUE_MAX = 2_000;

/** Rows of one INSERT. Larger ones hold the first delivery of the batch up without committing more per second. */
export const INTAKE_BATCH_MAX = 200;

/** So few deliveries are committed together, whatever else is in hand: a commit of its own costs as much as reading four of them. */
export const INTAKE_BATCH_WHOLE = 8;

/** Output of a failed step that is kept for the report: what a reader of a PR comment will scroll through. */
export const FAILURE_TAIL_LINES = 25;

/** Of each of these lines, what the comment shows: three lines of its page. With the lines above it is a fifth of what GitHub takes, 65,536 characters. */
export const COMMENT_DETAIL_LINE_MAX = 500;

/** Of a message or hint in the comment: ours are a few hundred characters long, and all of it may have to be escaped. */
export const COMMENT_SENTENCE_MAX = 2_000;

/** Output of a command that is kept where its caller does not say: enough for every question we ask and for any error's context. */
export const SHELL_OUTPUT_MAX_BYTES = 1024 * 1024;

/** After SIGTERM a command's process group has this long before SIGKILL: git removes its temporary files in milliseconds. */
export const SHELL_KILL_GRACE_MS = 1_000;

/** A line of output beyond this is cut: minified code in a stack trace, progress bars. */
export const LOG_LINE_MAX_BYTES = 4_096;

/** Log kept per service and instance, in two files of half the size; a flood overwrites its own past and nobody else's. */
export const LOG_FILE_MAX_BYTES = 4 * 1024 * 1024;

/** What Node itself says when a supervisor cannot run, kept for all of them: a few dozen stack traces. */
export const SUPERVISOR_ERRORS_MAX_BYTES = 64 * 1024;

/** Manifest size: hundreds of times what a real one has. */
export const MANIFEST_MAX_BYTES = 64 * 1024;

/** Words of a command that is run in a preview: as long as the shell's own line may be on a terminal, many times over. */
export const COMMAND_WORDS_MAX = 256;
export const COMMAND_WORD_MAX_LENGTH = 8_192;

/** Answer of an evaluated preview-config.nix: 64 kB of metadata and the names of a few hundred units. */
export const EVALUATION_ANSWER_MAX_BYTES = 256 * 1024;

/** A whole NixOS system evaluates in ten to twenty seconds on a small server; in twice that on a busy one. */
export const EVALUATION_TIMEOUT_MS = 60_000;

/** And in less than a gigabyte (measured with nixpkgs of 2026: docs/reference/host-evaluation.md). */
export const EVALUATION_MEMORY_MIB = 2_048;

/** Where the manifest does not say. npm ci and a build of a middling app on a busy host. */
export const SETUP_TIMEOUT_DEFAULT_MS = 10 * 60_000;
export const SETUP_TIMEOUT_MAX_MS = 60 * 60_000;

/** Where the manifest does not say: from start to the first good answer. */
export const HEALTH_TIMEOUT_DEFAULT_MS = 60_000;
export const HEALTH_TIMEOUT_MAX_MS = 15 * 60_000;

/** One health request. An app that needs longer for its health path is not one that a reviewer would call up. */
export const HEALTH_REQUEST_TIMEOUT_MS = 5_000;

/** Fetch of a repository; a first clone of a large one takes minutes. */
export const FETCH_TIMEOUT_MS = 15 * 60_000;

/** Entries of a tree that we place: the Linux kernel has 90,000, and each costs an inode of the host. */
export const TREE_ENTRIES_MAX = 200_000;

/** Files of a tree together. Beyond it is data, which belongs into a database or a download in setup. */
export const TREE_MAX_BYTES = 2 * 1024 * 1024 * 1024;

/** Where the manifest does not say: source, dependencies and what a build leaves take 1 to 2 GiB. */
export const DISK_DEFAULT_MIB = 4_096;

/**
 * A new instance is made only where its whole disk would fit and this much of the host's would still be free: databases, builds and the journal go on
 * living there.
 */
export const HOST_DISK_RESERVE_MIB = 2_048;

/** Placing a tree: 2 GiB at 20 MB/s is 100 s. */
export const PLACE_TIMEOUT_MS = 5 * 60_000;

/** Commits that a mirror keeps by name. Fetching one again costs a second; keeping all would grow for ever. */
export const MIRROR_COMMITS_MAX = 100;

/**
 * How long a replaced instance may finish what it is answering before it is stopped: what Kubernetes gives a pod. A WebSocket or an event stream never ends by
 * itself, and until then two commits run, with twice the memory; each look whether it is done is a whole run, with a request to GitHub. Longer
 * downloads are cut: docs/life-of-a-preview.md says so.
 */
export const DRAIN_LIMIT_MS = 30_000;

/** While draining, how often we look whether it is done. */
export const DRAIN_POLL_MS = 1_000;

/** A client of the gateway has this long to send the head of a request: on a poor mobile line a head takes one or two seconds. */
export const GATEWAY_HEADERS_TIMEOUT_MS = 10_000;

/** A connection of the gateway on which nothing moves for so long is closed. Apps that stream keep-alives send one every 15–60 s. */
export const GATEWAY_IDLE_MS = 5 * 60_000;

/** An app that runs accepts a connection of its own host at once; one whose container hangs never does. */
export const GATEWAY_CONNECT_TIMEOUT_MS = 5_000;

/** When the operator stops, requests in flight have this long; systemd and people wait for it. */
export const GATEWAY_CLOSE_GRACE_MS = 2_000;

/** After SIGTERM a service has this long before SIGKILL. systemd's default is 90 s; a preview has nothing to save. */
export const STOP_GRACE_MS = 5_000;

/**
 * A burst of pushes is waited out: 100 pushes in 10 s are then two builds, not 100 (promise R12). One push alone never waits, unless the
 * instance before it is younger than the window.
 */
export const SETTLE_WINDOW_MS = 2_000;
/** Quiet that ends a burst. */
export const SETTLE_QUIET_MS = 1_000;
/** But after this long without a new instance we build what there is, for someone who pushes every half second. */
export const SETTLE_MAX_MS = 15_000;

/** Progress that is overtaken within this time is not told: most previews are live sooner, and each edit costs GitHub and us a request. */
export const PROGRESS_TOLD_AFTER_MS = 1_000;

/** How often a running job looks whether newer input came in. One primary-key read. */
export const SUPERSEDE_POLL_MS = 250;

/** Passes of one run: look, plan, act. Three suffice for everything known (bring up, clean up after a failure, retire); more is a loop. */
export const PASSES_MAX = 6;

/** Pauses between tries after a failure that may pass: 2 s, doubling, at most 5 minutes (GitHub's incidents last longer than its hiccups). */
export const RETRY_FIRST_MS = 2_000;
export const RETRY_MAX_MS = 5 * 60_000;

/** A whole run of a preview's job; beyond the sum of every step's own limit it is stuck. */
export const JOB_TIMEOUT_MS = 100 * 60_000;

/**
 * For each preview that is worked on for longer than this, one more is begun: longer than most setups take, and what the others' authors wait when as
 * many setups hang as there are places.
 */
export const JOB_PATIENCE_MS = 30_000;

/** Between two sweeps: the longest time that a lost delivery goes unnoticed. One list request per repository each time. */
export const SWEEP_INTERVAL_MS = 2 * 60_000;

/**
 * Comments that are looked at after one sweep. Each is a request to GitHub, which allows a token 5,000 an hour for everything; where there are
 * more previews than this, they take turns.
 */
export const COMMENT_LOOKS_PER_SWEEP = 50;

/** How far GitHub's clock and ours may be apart: both are kept by NTP, GitHub tells whole seconds, and a virtual machine may wake up late. */
export const CLOCKS_APART_MS = 10_000;

/** A comment of ours that somebody edits again and again is put right at once no more often than this; in between the sweep does it. */
export const COMMENT_REPAIR_PAUSE_MS = 60_000;

/** How far back the first sweep looks for deliveries that failed: GitHub can send them again for three days. */
export const REDELIVERY_LOOKBACK_MS = 3 * 24 * 60 * 60_000;

/**
 * Something of ours without a record must have been seen that way for this long before it is removed: longer than any step takes between
 * making a thing and saving that it is there, and one full sweep.
 */
export const ORPHAN_OBSERVATION_MS = 5 * 60_000;

/** A service that ends is started again after 100 ms, doubling to 10 s; one that ran for 10 s begins anew. A crash loop then costs at most six starts a minute. */
export const RESTART_FIRST_MS = 100;
export const RESTART_MAX_MS = 10_000;

/** Output of one service per second that is kept, and that is read at all: beyond the first it is dropped and counted, beyond the second the service waits. */
export const LOG_KEPT_BYTES_PER_SECOND = 512 * 1024;
export const LOG_READ_BYTES_PER_SECOND = 8 * 1024 * 1024;

/** From the start of a supervisor until it says that its services run: 50 ms on a quiet machine, seconds on a drowning one. */
export const SUPERVISOR_START_TIMEOUT_MS = 30_000;

/** Connections of one preview's role: an app's own pool is ten, and there may be two services. The other previews' stay free (promise S11). */
export const APP_DATABASE_CONNECTIONS_MAX = 20;

/**
 * Where the manifest does not say: what one preview's database may hold. Seeds and test data take tens of megabytes (an empty database 7); a
 * hundred previews that all fill theirs take 100 GiB, which the smallest disk that is bought for a host has.
 */
export const DATABASE_DEFAULT_MIB = 1_024;
export const DATABASE_MAX_MIB = 65_536;

/** A seed's text, which is held in memory while it is sent: a dump of a hundred thousand rows as INSERT statements. */
export const SEED_MAX_BYTES = 16 * 1024 * 1024;

/** 10 MB of INSERT statements of a hundred rows each load in 1 s; the rest is room for single rows, generated data and a busy machine. */
export const SEED_TIMEOUT_MS = 120_000;

/** What a seed may make the server say while it is loaded: results and notices, which nobody reads, are held in our memory. */
export const SEED_ANSWERS_MAX_BYTES = 1024 * 1024;

/** From there on copying a database file by file is faster than through the log, and worth the checkpoint that it forces (performance.md section 4). */
export const FILE_COPY_FROM_BYTES = 100 * 1024 * 1024;

/** How often the process runtime adds up the memory of an instance. A runaway that takes 1 GiB in less is what the kernel's own killer is for. */
export const MEMORY_LOOK_EVERY_MS = 1_000;

/**
 * Ports of the process runtime. Sixteen services are the most that a manifest may have, so sixteen ports belong to each slot, from the first one on and
 * below the kernel's ephemeral ones (32768, ip(7)), which anybody's outgoing connection may hold.
 */
export const PROCESS_FIRST_PORT = 10_240;
export const PROCESS_PORTS_PER_SLOT = 16;
export const PROCESS_SLOTS_MAX = Math.floor((32_768 - PROCESS_FIRST_PORT) / PROCESS_PORTS_PER_SLOT) - 1;
