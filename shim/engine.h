/* The seam between the side that speaks httpd and the side that speaks Python.
 *
 * An engine (wsgi-engine-3.X.so) exports one symbol, `wsgi_engine`, a table of functions.  Its host, an httpd child or a
 * wsgi-worker, loads it with dlopen(RTLD_NOW | RTLD_GLOBAL) and gives it a `wsgi_host` once, and a `wsgi_exchange` per
 * request.  Nothing but C crosses: bytes, numbers and function pointers.  Neither side keeps a pointer that the other
 * passed, beyond the call it came with, unless it says so here.
 *
 * Flat encodings (all integers in host order; both sides run on one machine):
 *   pairs          u32 count, then per pair: u32 key length, u32 value length, key, value.
 *                  A value length of WSGI_NULL stands for "no value".
 *   request head   see Sources/WSGICore/RequestHead.swift
 *   response head  see Sources/WSGICore/ResponseHead.swift
 *   settings       pairs; the keys are listed in Sources/WSGICore/EngineSettings.swift
 */
#ifndef WSGI_ENGINE_H
#define WSGI_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#define WSGI_ENGINE_ABI 5u
#define WSGI_ENGINE_SYMBOL "wsgi_engine"
#define WSGI_NULL 0xFFFFFFFFu
#define WSGI_BOARD_SIZE 4096u

/* Log levels: httpd's APLOG_* values. */
enum {
  WSGI_LOG_ALERT = 1, WSGI_LOG_CRIT = 2, WSGI_LOG_ERROR = 3, WSGI_LOG_WARNING = 4,
  WSGI_LOG_INFO = 6, WSGI_LOG_DEBUG = 7, WSGI_LOG_TRACE1 = 8,
};

/* A log record.  `text` has no line end.  `file` and `line` name a Python source line for LogHandler records; else NULL, 0. */
typedef struct wsgi_log_record {
  int32_t level;
  uint32_t line;
  const char *file;
  const uint8_t *text;
  size_t length;
} wsgi_log_record;

/* Functions of the host process for the engine, outside any request.  Functions may be called from any thread, with or without
 * the GIL, and do not call back into the engine. */
typedef struct wsgi_host {
  void *context;
  /* One log record of the process, for the log of the server that the process group belongs to. */
  void (*log)(void *context, const wsgi_log_record *record);
  /* The highest level (largest number) that the process's log would keep. */
  int32_t (*log_level)(void *context);
  /* Writes httpd's scoreboard as pairs into buffer; returns the length needed, 0 where it is not available. */
  size_t (*server_metrics)(void *context, uint8_t *buffer, size_t capacity);
  /* The process is to be replaced by one that loads this script, as after a change of the script.  NULL in an httpd child. */
  void (*replace)(void *context, const uint8_t *script, size_t script_length, const uint8_t *application_group,
                  size_t group_length);
  /* WSGI_BOARD_SIZE bytes of memory, zero at first, of all processes that run the same application groups: there they tell each
   * other which are to be loaded again.  Its last 512 bytes are for the host to read: see Sources/Platform/EngineNotice.swift.
   * NULL: a process has nobody to tell. */
  void *board;
} wsgi_host;

/* Results of exchange functions that can fail; counts are >= 0. */
enum {
  WSGI_IO_CLOSED = -1,      /* the client (or the httpd child) has gone */
  WSGI_IO_TIMEOUT = -2,
  WSGI_IO_TOO_LARGE = -3,   /* LimitRequestBody */
  WSGI_IO_FAILED = -4,
  WSGI_IO_WOULD_BLOCK = -5, /* only with WSGI_SEND_TRY: nothing was taken */
  WSGI_IO_BAD_HEAD = -6,    /* httpd refuses the response head; nothing was sent */
};

/* Flags of `send`. */
enum {
  WSGI_SEND_END = 1,   /* these are the last bytes: the response is complete */
  WSGI_SEND_FLUSH = 2, /* on their way to the client before the call returns */
  WSGI_SEND_TRY = 4,   /* fail with WSGI_IO_WOULD_BLOCK rather than wait; the caller holds the GIL */
};

/* Per request: how the engine reaches the client.  The first argument is the `exchange` given to `run`.  Functions are called
 * one at a time, and not after `run` has returned: on the thread that called `run`, but for `send` with WSGI_SEND_TRY, which
 * may come from a thread of the engine's.  Apart from `log` and WSGI_SEND_TRY they are called without the GIL. */
typedef struct wsgi_exchange {
  /* Reads up to capacity bytes of the request body; 0 at its end.  Waits until at least one byte is there.  With capacity 0
   * it waits for nothing: it only says that the body is wanted ("100 Continue"). */
  int64_t (*read)(void *exchange, uint8_t *buffer, size_t capacity);
  /* Sends response bytes.  The first call of a response carries its head (encoded), later ones NULL, 0.  All bytes are
   * taken, or the result is negative.  body may be NULL when body_length is 0. */
  int32_t (*send)(void *exchange, const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length,
                  uint32_t flags);
  /* Sends `length` bytes of a regular file from `offset`, and ends the response.  The descriptor stays the caller's. */
  int32_t (*send_file)(void *exchange, const uint8_t *head, size_t head_length, int32_t descriptor, int64_t offset,
                       int64_t length);
  /* A log record that belongs to this request. */
  void (*log)(void *exchange, const wsgi_log_record *record);
  /* The highest level that this request's log would keep. */
  int32_t (*log_level)(void *exchange);
  /* The application is about to be called (time stamps, inactivity and activity timers).  `microseconds`: epoch; 0: its script
   * is about to be imported for this request; -1: before either, the request may wait for something other than the GIL. */
  void (*started)(void *exchange, int64_t microseconds);
  /* mod_ssl for auth scripts: whether the connection is TLS; a variable's value, or -1.  NULL in a worker. */
  int32_t (*is_https)(void *exchange);
  int64_t (*ssl_variable)(void *exchange, const char *name, uint8_t *buffer, size_t capacity);
  /* The request_rec for WSGIPassApacheRequest; NULL in a worker. */
  void *(*request_record)(void *exchange);
} wsgi_exchange;

/* How a request ended. */
enum {
  WSGI_DONE = 0,       /* the response is complete, or the client went away while it was being sent */
  WSGI_FAILED = 1,     /* nothing was sent; the host answers with `status` */
  WSGI_ABORTED = 2,    /* the response was begun and cannot be completed: the client must see it cut */
  WSGI_STALE = 3,      /* not run: WSGI_RUN_REJECT_STALE was given, and the script changed, or is to be tried again (below) */
};

/* Flags of `run`. */
enum {
  WSGI_RUN_REJECT_STALE = 1, /* daemon: a changed script asks for a new process instead of a reload in place */
  WSGI_RUN_NEW_CODE = 2,     /* this process was started for the request: only a further change of the file is one */
};

typedef struct wsgi_outcome {
  int32_t end;             /* WSGI_DONE ... */
  int32_t status;          /* HTTP status: the application's, or for WSGI_FAILED the one to answer with */
  int32_t script_loaded;   /* 1 when this request's script is loaded (cancels startup-timeout) */
  int32_t interrupted;     /* 1 when RequestTimeout ended the application */
  int64_t script_modified; /* for WSGI_STALE: the script's time, as in ScriptTime */
  uint32_t script_failure; /* names how the script's import failed: another process is to try again (WSGI_STALE), or it is too
                            * early for that (WSGI_FAILED).  0: it did not fail */
} wsgi_outcome;

/* A call of a function in a script other than the WSGI application: auth, access and dispatch scripts. */
enum {
  WSGI_ANSWER_NONE = 0, WSGI_ANSWER_TRUE = 1, WSGI_ANSWER_FALSE = 2, WSGI_ANSWER_STRING = 3, WSGI_ANSWER_BYTES = 4,
  WSGI_ANSWER_LIST = 5,       /* in `buffer`, as pairs: see the flags */
  WSGI_ANSWER_OTHER = 6,      /* another type: its name is in `buffer` */
  WSGI_ANSWER_RAISED = 7,     /* logged */
  WSGI_ANSWER_MISSING = 8,    /* the script has no such function */
  WSGI_ANSWER_UNLOADABLE = 9, /* the script; logged */
  WSGI_ANSWER_TOO_LONG = 10,
  WSGI_ANSWER_BAD_ITEM = 11,  /* an item of the iterable is neither str nor bytes: its type is in `buffer` */
  WSGI_ANSWER_NOT_LATIN1 = 12, /* an item of the iterable holds other characters */
  WSGI_ANSWER_NO_INTERPRETER = 13, /* logged */
  WSGI_ANSWER_CUT_LIST = 14,  /* as LIST: what an iterable gave before it raised; logged */
};
enum {
  WSGI_CALL_WANTS_LIST = 1, /* the result is iterated, whatever its type: a list of str or bytes, the keys of the pairs */
  WSGI_CALL_UTF8 = 2,       /* a str is given as UTF-8, else as latin-1; one that cannot be, or holds a NUL, is an exception */
  WSGI_CALL_EACH = 4,       /* `function` names several, separated by commas: those that the script has are called in order
                             * with one environ, and must return str, bytes or None: a list of pairs, name and value */
  WSGI_CALL_AUTH = 8,       /* an auth or access script: its environ has the versions and mod_ssl's functions */
  WSGI_CALL_SECRET = 16,    /* the last argument is a password: lines about an exception that hold it are not logged */
};

typedef struct wsgi_call {
  const char *function;
  const uint8_t *arguments;  /* pairs: the positional arguments after environ as keys (latin-1), values empty */
  size_t arguments_length;
  uint32_t flags;
  uint8_t *buffer;           /* for the answer */
  size_t capacity;
  size_t length;             /* out */
} wsgi_call;

/* One engine per process.  Functions may be called on any thread that does not hold the GIL; each says if it waits. */
typedef struct wsgi_engine {
  uint32_t abi;              /* WSGI_ENGINE_ABI */
  uint32_t python_hex;       /* PY_VERSION_HEX it was built with */
  const char *python;        /* "3.11" */
  /* Initialises Python with `settings` on the calling thread.  0, or -1 with a sentence in `error`. `host` is kept. */
  int32_t (*start)(const wsgi_host *host, const uint8_t *settings, size_t length, char *error, size_t capacity);
  /* Imports a script into an application group (WSGIImportScript, preload).  0, or -1 after logging why.  In `failure` stands
   * a failure that has been logged before, or 0, and then the one that there was. */
  int32_t (*load)(const uint8_t *application_group, size_t group_length, const uint8_t *script, size_t script_length,
                  uint32_t *failure);
  /* In a process that was started with the setting `preloader`, when it has loaded its scripts and before the first fork():
   * has the garbage collector leave alone all that there is from then on.  Sends the names of the threads that Python
   * knows of beside the calling one, one record each, to `sink`.  -1: this Python's processes cannot be forked. */
  int32_t (*settle)(void (*sink)(void *, const wsgi_log_record *), void *context);
  /* Forks a process that is whole: hooks of os.register_at_fork run in both, `begin` in the new one before them, which ends
   * unless that returns 0.  It is a child of whatever adopts orphans.  On the only thread, the one that called `start`.
   * 0 in the new process, 1 in this one, or -errno. */
  int32_t (*fork)(int32_t (*begin)(void *context), void *context);
  /* Runs a request. `ticket` names it to interrupt() and describe() while it runs; the host keeps tickets unique. */
  void (*run)(void *exchange, const wsgi_exchange *functions, const uint8_t *head, size_t head_length, uint64_t ticket,
              uint32_t flags, wsgi_outcome *outcome);
  /* Calls a function of the head's script with the head's environ.  Returns WSGI_ANSWER_*. */
  int32_t (*call)(void *exchange, const wsgi_exchange *functions, const uint8_t *head, size_t head_length, wsgi_call *call);
  /* Raises mod_wsgi.RequestTimeout in the thread that runs `ticket`, when it next runs Python.  0, or -1: not running. */
  int32_t (*interrupt)(uint64_t ticket);
  /* Sends the Python stack of the thread that runs `ticket` (0: of all threads that run Python code), one record a frame, to
   * `sink`. Waits for the GIL, at most `milliseconds`; -1 when it could not be had. */
  int32_t (*stacks)(uint64_t ticket, uint32_t milliseconds, void (*sink)(void *, const wsgi_log_record *), void *context);
  /* Takes and releases the GIL of the main interpreter (deadlock detection).  Waits as long as that takes. */
  void (*probe)(void);
  /* SIGHUP or SIGUSR2 arrived in a worker: publishes process_signal.  Waits for the callbacks. */
  void (*signal)(int32_t number);
  /* Publishes process_stopping to every interpreter, once. Waits for the callbacks. */
  void (*stopping)(const char *reason);
  /* Ends all interpreters and Python, on the thread that called `start`.  No request may be running or come. */
  void (*stop)(void);
  /* The process is about to end without stop(): whoever watches its life is told so.  Waits for nothing. */
  void (*abandon)(void);
} wsgi_engine;

#endif
