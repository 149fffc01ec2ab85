/* The interface to httpd that requires C: structures, macros, varargs, brigades and tables.
 *
 * Decisions are Swift's.  No httpd header is included here, so that Swift sees opaque pointers and needs no include path.
 * Strings are NUL-terminated and live as long as the pool of the object that they were asked of, unless said otherwise.
 */
#ifndef WSGI_CHTTPD_H
#define WSGI_CHTTPD_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef struct request_rec request_rec;
typedef struct server_rec server_rec;
typedef struct apr_pool_t apr_pool_t;
typedef struct apr_bucket_brigade apr_bucket_brigade;
typedef struct cmd_parms_struct cmd_parms;

/* httpd's return values for hooks. */
enum { WSGI_HTTPD_DECLINED = -1, WSGI_HTTPD_OK = 0, WSGI_HTTPD_FILTER_ERROR = -102 /* a filter has answered */ };

/* ---- Implemented in Swift, called by httpd through the module record ---- */

/* Fills the directive table with wsgi_httpd_add_directive. Called once, when the image is loaded, before httpd reads it. */
void wsgi_swift_register_directives(void);

void *_Nullable wsgi_swift_create_server_config(apr_pool_t *pool, server_rec *_Nullable server);
void *_Nullable wsgi_swift_merge_server_config(apr_pool_t *pool, void *_Nullable base, void *_Nullable added);
void *_Nullable wsgi_swift_create_directory_config(apr_pool_t *pool, char *_Nullable directory);
void *_Nullable wsgi_swift_merge_directory_config(apr_pool_t *pool, void *_Nullable base, void *_Nullable added);
/* One directive.  NULL, or the reason why it is refused, allocated in the command's pool. */
const char *_Nullable wsgi_swift_directive(cmd_parms *command, void *_Nullable directory_config, uint32_t index,
                                           const char *arguments);

int32_t wsgi_swift_pre_config(apr_pool_t *configuration, apr_pool_t *log, apr_pool_t *temporary);
int32_t wsgi_swift_check_config(apr_pool_t *configuration, apr_pool_t *log, apr_pool_t *temporary, server_rec *main_server);
int32_t wsgi_swift_post_config(apr_pool_t *configuration, apr_pool_t *log, apr_pool_t *temporary, server_rec *main_server);
void wsgi_swift_child_init(apr_pool_t *child_pool, server_rec *main_server);
int32_t wsgi_swift_translate_name(request_rec *request);
int32_t wsgi_swift_handler(request_rec *request);
/* httpd's authn_status. */
enum {
  WSGI_HTTPD_AUTH_DENIED, WSGI_HTTPD_AUTH_GRANTED, WSGI_HTTPD_AUTH_USER_FOUND, WSGI_HTTPD_AUTH_NO_USER, WSGI_HTTPD_AUTH_ERROR,
};
enum { WSGI_HTTPD_NOT_IN_GROUP, WSGI_HTTPD_IN_GROUP, WSGI_HTTPD_GROUP_ERROR /* unknown */ };
/* The auth phases.  The first two give WSGI_HTTPD_AUTH_…; `hash` lives as long as the request.  The third tells whether the user
 * is in one of the groups that `required` lists, the last gives a hook's result. */
int32_t wsgi_swift_check_password(request_rec *request, const char *user, const char *password);
int32_t wsgi_swift_get_realm_hash(request_rec *request, const char *user, const char *realm,
                                  const char *_Nullable *_Nonnull hash);
int32_t wsgi_swift_check_group(request_rec *request, const char *user, const char *required);
int32_t wsgi_swift_check_access(request_rec *request);
/* Whether `directive`, a `Require wsgi-group`, may be denied if the groups of a user are unknown. */
int32_t wsgi_swift_is_denial_safe(const void *directive);
/* A process that wsgi_httpd_watch_process registered has ended; its exit code, or -1 where it has none. */
void wsgi_swift_supervisor_ended(void *context, int32_t code);
/* The scoreboard has been made, just before httpd starts its children for the first time or after a full restart. */
void wsgi_swift_scoreboard_is_there(void);
/* Every second or so in the parent. */
int32_t wsgi_swift_monitor(apr_pool_t *pool, server_rec *main_server);
/* A child of httpd has ended. */
void wsgi_swift_httpd_child_ended(int32_t pid);

/* ---- Directives ---- */

/* Adds a row to the module's directive table.  `override` is httpd's req_override; the strings stay the caller's and must
 * live as long as the image.  All directives take RAW_ARGS. */
void wsgi_httpd_add_directive(const char *name, const char *description, int32_t override, uint32_t index);

typedef struct wsgi_httpd_command {
  apr_pool_t *pool;            /* lives as long as this reading of the configuration */
  server_rec *server;
  const char *file;
  uint32_t line;
  int32_t is_htaccess;
  const char *_Nullable path;  /* the section's directory, location or file; NULL at server level */
  const void *_Nullable directive; /* for wsgi_httpd_read_directive */
} wsgi_httpd_command;

wsgi_httpd_command wsgi_httpd_describe_command(cmd_parms *command);
/* A directive as it was written. */
typedef struct wsgi_httpd_directive {
  const char *name;            /* "Require", "<Location" */
  const char *_Nullable arguments;
  const char *_Nullable file;
  uint32_t line;
  const void *_Nullable next, *_Nullable first_child, *_Nullable parent;
} wsgi_httpd_directive;
wsgi_httpd_directive wsgi_httpd_read_directive(const void *directive);
/* The first one of the server's configuration. */
const void *_Nullable wsgi_httpd_configuration_tree(void);
/* Processes the directives inside that section; the first refusal, or NULL. */
const char *_Nullable wsgi_httpd_walk_section(cmd_parms *command);

/* ---- Pools ---- */

/* Has `end` called with `object` when the pool is destroyed; forgotten in forked children. */
void wsgi_httpd_at_pool_end(apr_pool_t *pool, void *_Nullable object, int32_t (*end)(void *_Nullable object));
char *wsgi_httpd_copy(apr_pool_t *pool, const void *bytes, size_t length);

/* ---- Server ---- */

void *_Nullable wsgi_httpd_server_config(server_rec *server);
void wsgi_httpd_set_server_config(server_rec *server, void *config);
server_rec *_Nullable wsgi_httpd_next_server(server_rec *server);
const char *_Nullable wsgi_httpd_server_name(server_rec *server);
int32_t wsgi_httpd_server_is_virtual(server_rec *server);
/* The n-th address of a virtual host as it is written, and its port (0: any); NULL after the last. */
const char *_Nullable wsgi_httpd_server_address(server_rec *server, uint32_t n, uint32_t *port);
/* The n-th name of its ServerAlias lines; NULL after the last. */
const char *_Nullable wsgi_httpd_server_alias(server_rec *server, uint32_t n);
/* Where <VirtualHost> stands; NULL for the main server. */
const char *_Nullable wsgi_httpd_server_file(server_rec *server, uint32_t *line);
/* httpd's User and Group. */
typedef struct wsgi_httpd_identity {
  uint32_t user, group;
} wsgi_httpd_identity;
wsgi_httpd_identity wsgi_httpd_get_identity(void);
/* A path below httpd's runtime directory (DefaultRuntimeDir), unless it is absolute; NULL: it is no path. */
char *_Nullable wsgi_httpd_runtime_path(apr_pool_t *pool, const char *name);
/* The first of the two times that httpd reads its configuration at start-up, whose results it throws away. */
int32_t wsgi_httpd_is_dry_run(void);
/* `apachectl configtest`. */
int32_t wsgi_httpd_is_config_test(void);
/* httpd -D name */
int32_t wsgi_httpd_is_defined(const char *name);
/* Absolute paths of httpd's own files, in a pool; NULL where there are none, and for a log that is not a file. */
const char *_Nullable wsgi_httpd_error_log(server_rec *server, apr_pool_t *pool);
const char *_Nullable wsgi_httpd_pid_file(apr_pool_t *pool);
const char *_Nullable wsgi_httpd_runtime_directory(apr_pool_t *pool);
/* httpd -X: the parent serves requests itself. */
int32_t wsgi_httpd_is_single_process(void);
void wsgi_httpd_add_version_component(apr_pool_t *pool, const char *component);
/* The path that mod_wsgi.so was loaded from, without symbolic links; to be freed. NULL where it cannot be told. */
char *_Nullable wsgi_httpd_image_path(void);
/* The version of the Python that this was built for, "3.11". */
const char *wsgi_httpd_default_python(void);

typedef struct wsgi_httpd_facts {
  uint32_t major, minor, patch;
  const char *description, *built, *mpm;
  int32_t maximum_processes, maximum_threads;
} wsgi_httpd_facts;
wsgi_httpd_facts wsgi_httpd_get_facts(void);

/* A log record; text is cut where httpd's own buffer ends. Levels are httpd's; file and line name a source other than this. */
void wsgi_httpd_log_server(server_rec *_Nullable server, int32_t level, const uint8_t *text, size_t length,
                           const char *_Nullable file, uint32_t line);
void wsgi_httpd_log_request(request_rec *request, int32_t level, const char *_Nullable prefix, const uint8_t *text,
                            size_t length, const char *_Nullable file, uint32_t line);
int32_t wsgi_httpd_server_log_level(server_rec *server);
int32_t wsgi_httpd_request_log_level(request_rec *request);

/* ---- Processes beside httpd's own ---- */

/* Has the parent tell wsgi_swift_supervisor_ended when process `pid`, a child of it, ends. 0, or -1 without memory. */
int32_t wsgi_httpd_watch_process(server_rec *server, int32_t pid, void *context);
void wsgi_httpd_close_listeners(void);
int32_t wsgi_httpd_has_scoreboard(void);
/* httpd ends, as opposed to a restart. */
int32_t wsgi_httpd_is_exiting(void);
/* The restart under way has not waited for requests: httpd has ended its process group. */
int32_t wsgi_httpd_is_ungraceful(void);
/* CoreDumpDirectory is set. */
int32_t wsgi_httpd_allows_core_dumps(void);
int64_t wsgi_httpd_server_timeout_milliseconds(server_rec *server);

/* ---- The scoreboard ---- */

typedef struct wsgi_httpd_scoreboard {
  int32_t server_limit, thread_limit, generation;
  int64_t restart_time;      /* times are microseconds since the epoch; 0: none */
} wsgi_httpd_scoreboard;

typedef struct wsgi_httpd_process_slot {
  int32_t pid, generation, is_quiescing;
} wsgi_httpd_process_slot;

typedef struct wsgi_httpd_worker_slot {
  char status;               /* the letter that mod_status shows */
  int32_t generation;
  uint64_t access_count;
  int64_t bytes_served, start_time, stop_time, last_used;
  char client[65], request[65], vhost[33];
} wsgi_httpd_worker_slot;

/* 0 where there is no scoreboard. */
int32_t wsgi_httpd_get_scoreboard(wsgi_httpd_scoreboard *board);
/* 0 where there is no such slot. */
int32_t wsgi_httpd_get_process_slot(int32_t process, wsgi_httpd_process_slot *slot);
void wsgi_httpd_get_worker_slot(int32_t process, int32_t thread, wsgi_httpd_worker_slot *slot);

/* ---- Regular expressions (WSGIScriptAliasMatch) ---- */

/* Compiles an extended regular expression; NULL if it is not valid. */
void *_Nullable wsgi_httpd_compile(apr_pool_t *pool, const char *source);
enum { WSGI_HTTPD_CAPTURES = 10 };
typedef struct wsgi_httpd_capture {
  int32_t start, end; /* -1: took no part */
} wsgi_httpd_capture;
/* Matches a string.  1 and $0 … $9; 0 where it does not match. */
int32_t wsgi_httpd_match(const void *expression, const char *string, wsgi_httpd_capture *captures);

/* ---- Requests ---- */

/* One row of an apr_table_t, laid out as apr_table_entry_t is.  Rows without a key are skipped. */
typedef struct wsgi_httpd_entry {
  const char *_Nullable key;
  const char *_Nullable value;
  uint32_t checksum;
} wsgi_httpd_entry;

typedef struct wsgi_httpd_table {
  const wsgi_httpd_entry *_Nullable entries;
  size_t count;
} wsgi_httpd_table;

/* Facts for the handler's decisions, before anything is built. */
typedef struct wsgi_httpd_target {
  const char *_Nullable transfer_encoding, *_Nullable content_length;
  int64_t body_limit;        /* LimitRequestBody; 0: none */
  int64_t modified;          /* of the request's file, as in ScriptTime */
  int32_t file_exists, file_is_directory;
  int32_t may_execute;       /* Options +ExecCGI */
  int32_t rejects_path_info; /* AcceptPathInfo Off */
} wsgi_httpd_target;
wsgi_httpd_target wsgi_httpd_get_target(request_rec *request);

/* Values for the environ, beside those of wsgi_httpd_view. */
typedef struct wsgi_httpd_request {
  const char *method, *protocol, *scheme, *server_software;
  const char *server_name;   /* HTML-escaped */
  const char *_Nullable the_request, *_Nullable filename, *_Nullable user, *_Nullable auth_type;
  const char *_Nullable redirect_user, *_Nullable redirect_query, *_Nullable redirect_url;
  const char *_Nullable server_admin, *_Nullable document_root;
  const char *_Nullable context_prefix, *_Nullable context_document_root;
  const char *_Nullable server_address, *_Nullable listener_host;
  const char *_Nullable request_id, *_Nullable connection_id;
  uint32_t server_port, remote_port, listener_port;
  int32_t is_head;
  int32_t wants_ranges;
  int32_t passes_authorization; /* CGIPassAuth On */
  int32_t current_uri;       /* CGIVar REQUEST_URI current-uri */
  int32_t filters_content;   /* the first output filter works on content, so that a HEAD needs the body */
  wsgi_httpd_table headers;
  wsgi_httpd_table variables; /* SetEnv and its like */
} wsgi_httpd_request;
wsgi_httpd_request wsgi_httpd_get_request(request_rec *request);

/* Values for the expansion of names. */
uint32_t wsgi_httpd_request_port(request_rec *request);
/* Request notes, then the request's environment table, then the process's environment. */
const char *_Nullable wsgi_httpd_request_variable(request_rec *request, const char *name);

/* Facts for hooks. */
typedef struct wsgi_httpd_view {
  server_rec *server;
  void *_Nullable directory_config;
  void *_Nullable note;        /* the module's own pointer on a request; NULL until set */
  const char *_Nullable filename, *_Nullable handler, *_Nullable method, *_Nullable uri, *_Nullable path_info,
      *_Nullable arguments;
  const char *_Nullable host;  /* of the Host header as httpd parsed it */
  const char *_Nullable server_name, *_Nullable remote_address;
  int64_t time;                /* when the request line had been read, in microseconds since the epoch */
} wsgi_httpd_view;
wsgi_httpd_view wsgi_httpd_look_at(request_rec *request);
apr_pool_t *wsgi_httpd_request_pool(request_rec *request);
void wsgi_httpd_set_request_note(request_rec *request, void *_Nullable note);
/* An alias matched: the request is for `filename`, a WSGI script whatever other directives say. */
void wsgi_httpd_force_script(request_rec *request, const char *filename);
/* Reads and drops the request body. httpd's status: 0, or what the client is to get. */
int32_t wsgi_httpd_discard_body(request_rec *request);

/* Whether mod_ssl serves the connection, and a variable of it; 0 and NULL without mod_ssl. */
int32_t wsgi_httpd_is_https(request_rec *request);
const char *_Nullable wsgi_httpd_ssl_variable(request_rec *request, const char *name);

/* ---- Authentication and authorization ---- */

void wsgi_httpd_set_user(request_rec *request, const char *user);
/* The next word of a configuration line, which is moved on; NULL after the last. */
const char *_Nullable wsgi_httpd_next_word(request_rec *request, const char *_Nonnull *_Nonnull line);
/* `Satisfy Any`: a client that is refused here may still authenticate. */
int32_t wsgi_httpd_may_authenticate_instead(request_rec *request);
/* The client's host name where HostnameLookups finds one. */
const char *_Nullable wsgi_httpd_remote_host(request_rec *request);
const char *wsgi_httpd_server_signature(request_rec *request);

/* ---- The status page ---- */

/* Where the SetHandler stands that gave the request its handler; no file where another directive did. */
typedef struct wsgi_httpd_place {
  const char *_Nullable file;
  uint32_t line;
} wsgi_httpd_place;
wsgi_httpd_place wsgi_httpd_handler_place(request_rec *request);
/* A Require applies to the request; in a handler it has then been granted. */
int32_t wsgi_httpd_requires_authorization(request_rec *request);
const char *_Nullable wsgi_httpd_request_accept(request_rec *request);
/* If not, httpd's answer lists these two. */
int32_t wsgi_httpd_is_get_or_head(request_rec *request);

/* ---- The exchange with the client ---- */

/* Results below zero are engine.h's WSGI_IO_… and these two: httpd itself has answered meanwhile; or an input filter has
 * taken bytes and given none yet, and is to be asked again soon, whether or not the client sends more. */
enum { WSGI_HTTPD_ANSWERED = -100, WSGI_HTTPD_HELD_BACK = -101 };

apr_bucket_brigade *wsgi_httpd_make_brigade(request_rec *request);
/* Reads body bytes through the input filters; 0 at the end.  With `wait` it brings at least one byte, without it fails with
 * WSGI_IO_WOULD_BLOCK or WSGI_HTTPD_HELD_BACK where there is none.  `brigade` keeps what was not taken, for this
 * function alone. */
int64_t wsgi_httpd_read(request_rec *request, apr_bucket_brigade *brigade, uint8_t *buffer, size_t capacity, int32_t wait);
/* Asks a client that waits for it (Expect: 100-continue) for its body. */
void wsgi_httpd_send_continue(request_rec *request);
/* Whether the client waits to be asked. */
int32_t wsgi_httpd_expects_continue(request_rec *request);
/* Opens a file without a name, for reading and writing, where TMPDIR says or in /tmp; or -errno. */
int32_t wsgi_httpd_temporary_file(request_rec *request);
/* The client's socket; -1 where requests share a connection (HTTP/2). */
int32_t wsgi_httpd_client_socket(request_rec *request);
/* Whether httpd keeps bytes for the client that its socket does not take now. */
int32_t wsgi_httpd_client_is_behind(request_rec *request);
/* The longest time that a write may wait for the client, in milliseconds; 0: no limit. */
int64_t wsgi_httpd_client_timeout(request_rec *request);
/* Nothing more is sent to the client. */
void wsgi_httpd_give_up(request_rec *request);
/* Sets the longest time that a write may wait for the client; gives the previous time, or -1 if none could be set. */
int64_t wsgi_httpd_set_client_timeout(request_rec *request, int64_t milliseconds);
/* The status that httpd has set: its own after WSGI_HTTPD_ANSWERED. */
int32_t wsgi_httpd_status(request_rec *request);
/* Sets the status line; `reason` may be empty: httpd's own words for the status. */
void wsgi_httpd_set_status(request_rec *request, int32_t status, const uint8_t *reason, size_t length);
/* The response has no body whatever the application sends: HEAD. */
int32_t wsgi_httpd_is_header_only(request_rec *request);
/* Adds a response header. httpd keeps the strings, which must live as long as the request: they are not const, so that Swift
 * does not take a String for one, whose copy would be gone when the call returns. Content-Type goes through httpd. */
void wsgi_httpd_add_header(request_rec *request, char *name, char *value);
void wsgi_httpd_add_error_header(request_rec *request, char *name, char *value);
void wsgi_httpd_set_content_type(request_rec *request, char *value);
void wsgi_httpd_set_content_length(request_rec *request, int64_t length);
/* The response begins: 100 Continue is not to be sent any more, and a client that waits for it may not reuse the
 * connection, since its body may or may not come. */
void wsgi_httpd_cancel_expectation(request_rec *request);

enum { WSGI_HTTPD_FLUSH = 1, WSGI_HTTPD_END = 2 };
/* Sends bytes through the output filters, which copy what they keep. */
int32_t wsgi_httpd_write(request_rec *request, apr_bucket_brigade *brigade, const uint8_t *_Nullable bytes, size_t length,
                         uint32_t flags);
/* Sends part of a regular file.  The descriptor is duplicated.  `sendfile`: the kernel may copy. */
int32_t wsgi_httpd_write_file(request_rec *request, apr_bucket_brigade *brigade, int32_t descriptor, int64_t offset,
                              int64_t length, int32_t sendfile, uint32_t flags);
/* Ends a response that was begun so that the client sees that it is cut. */
void wsgi_httpd_cut(request_rec *request, apr_bucket_brigade *brigade);
/* Whether `length` bytes and a response head can be passed on without waiting for the client. */
int32_t wsgi_httpd_would_fit(request_rec *request, size_t length);
int32_t wsgi_httpd_is_aborted(request_rec *request);

/* Closes the client's connection after the response if an idle connection would keep a thread, as with MPMs that are not
 * asynchronous. */
void wsgi_httpd_spare_thread(request_rec *request);

#pragma clang assume_nonnull end
#endif
