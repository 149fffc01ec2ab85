/* The brigades that carry a response to the client, and what else a request's exchange asks of httpd. */
#include "private.h"

#include <apr_portable.h>
#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <util_filter.h>

#include "../engine.h"

apr_bucket_brigade *wsgi_httpd_make_brigade(request_rec *request) {
  return apr_brigade_create(request->pool, request->connection->bucket_alloc);
}

int32_t wsgi_httpd_is_aborted(request_rec *request) { return request->connection->aborted; }

void wsgi_httpd_spare_thread(request_rec *request) {
  int is_async = 0;
  if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &is_async) == APR_SUCCESS && is_async) return;
  request->connection->keepalive = AP_CONN_CLOSE;
}

void wsgi_httpd_send_continue(request_rec *request) {
  if (!request->expecting_100 || request->proto_num < HTTP_VERSION(1, 1)) return;
  int status = request->status;
  const char *line = request->status_line;
  request->status = HTTP_CONTINUE;
  request->status_line = NULL;
  ap_send_interim_response(request, 0);
  request->status = status;
  request->status_line = line;
}

int32_t wsgi_httpd_expects_continue(request_rec *request) { return request->expecting_100; }

int32_t wsgi_httpd_temporary_file(request_rec *request) {
  const char *directory;
  apr_status_t status = apr_temp_dir_get(&directory, request->pool);
  if (status != APR_SUCCESS) return -APR_TO_OS_ERROR(status);
  int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file >= 0) return file;
  if (errno != EOPNOTSUPP && errno != EISDIR) return -errno;
  /* The file system makes no files without a name. */
  char *path = apr_pstrcat(request->pool, directory, "/mod_wsgi.XXXXXX", NULL);
  file = mkostemp(path, O_CLOEXEC);
  if (file < 0) return -errno;
  unlink(path);
  return file;
}

int32_t wsgi_httpd_client_socket(request_rec *request) {
  apr_os_sock_t number;
  if (request->connection->master) return -1;
  apr_socket_t *socket = ap_get_conn_socket(request->connection);
  return socket && apr_os_sock_get(&number, socket) == APR_SUCCESS ? number : -1;
}

int32_t wsgi_httpd_client_is_behind(request_rec *request) {
  if (!request->connection->data_in_output_filters) return 0;
  struct pollfd client = {.fd = wsgi_httpd_client_socket(request), .events = POLLOUT};
  return client.fd >= 0 && poll(&client, 1, 0) == 0;
}

int64_t wsgi_httpd_client_timeout(request_rec *request) {
  apr_interval_time_t timeout;
  apr_socket_t *socket = request->connection->master ? NULL : ap_get_conn_socket(request->connection);
  if (!socket || apr_socket_timeout_get(socket, &timeout) != APR_SUCCESS || timeout < 0) return 0;
  return timeout / 1000;
}

void wsgi_httpd_give_up(request_rec *request) { request->connection->aborted = 1; }

int64_t wsgi_httpd_set_client_timeout(request_rec *request, int64_t milliseconds) {
  apr_interval_time_t before;
  apr_socket_t *socket = request->connection->master ? NULL : ap_get_conn_socket(request->connection);
  if (!socket || apr_socket_timeout_get(socket, &before) != APR_SUCCESS) return -1;
  return apr_socket_timeout_set(socket, milliseconds * 1000) == APR_SUCCESS ? before / 1000 : -1;
}

/* ---- Response head ---- */

_Static_assert(WSGI_HTTPD_FILTER_ERROR == AP_FILTER_ERROR && WSGI_HTTPD_DECLINED == DECLINED, "hook results");

int32_t wsgi_httpd_status(request_rec *request) { return request->status; }

void wsgi_httpd_set_status(request_rec *request, int32_t status, const uint8_t *reason, size_t length) {
  request->status = status;
  if (length > 0) {
    request->status_line = apr_psprintf(request->pool, "%d %.*s", status, (int)length, (const char *)reason);
  } else if (atoi(ap_get_status_line(status)) == status) {
    request->status_line = NULL;
  } else {
    /* httpd has no words for this one, and would say those of another. */
    request->status_line = apr_psprintf(request->pool, "%d Unknown Reason", status);
  }
}

int32_t wsgi_httpd_is_header_only(request_rec *request) { return request->header_only; }

void wsgi_httpd_add_header(request_rec *request, char *name, char *value) {
  apr_table_addn(request->headers_out, name, value);
}

void wsgi_httpd_add_error_header(request_rec *request, char *name, char *value) {
  apr_table_addn(request->err_headers_out, name, value);
}

void wsgi_httpd_set_content_type(request_rec *request, char *value) { ap_set_content_type(request, value); }

void wsgi_httpd_set_content_length(request_rec *request, int64_t length) { ap_set_content_length(request, length); }

void wsgi_httpd_cancel_expectation(request_rec *request) {
  if (!request->expecting_100) return;
  request->expecting_100 = 0;
  request->connection->keepalive = AP_CONN_CLOSE;
}

/* ---- Response body ---- */

/* How much of a file is read at once where the kernel does not send it. */
#define FILE_READ_SIZE 65536

static int32_t write_result(request_rec *request, apr_status_t status) {
  if (status == APR_SUCCESS) return request->connection->aborted ? WSGI_IO_CLOSED : 0;
  if (status == AP_FILTER_ERROR && !request->connection->aborted) return WSGI_HTTPD_ANSWERED;
  if (APR_STATUS_IS_TIMEUP(status)) return WSGI_IO_TIMEOUT;
  return WSGI_IO_CLOSED;
}

/* Has httpd write what it keeps of a complete response, as far as that goes without waiting.  By itself it would look for a
 * next request first, which no client sends before it has read this response. */
static void hasten(request_rec *request) {
  if (request->main || request->connection->master || !request->connection->data_in_output_filters) return;
  ap_filter_t *last = request->connection->output_filters;
  while (last && last->next) last = last->next;
  if (last && last->frec->ftype == AP_FTYPE_NETWORK) last->frec->filter_func.out_func(last, NULL);
}

static int32_t pass(request_rec *request, apr_bucket_brigade *brigade, uint32_t flags) {
  apr_bucket_alloc_t *allocator = request->connection->bucket_alloc;
  if (flags & WSGI_HTTPD_FLUSH) APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_flush_create(allocator));
  if (flags & WSGI_HTTPD_END) APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(allocator));
  apr_status_t status = ap_pass_brigade(request->output_filters, brigade);
  apr_brigade_cleanup(brigade);
  if (flags & WSGI_HTTPD_END && status == APR_SUCCESS) hasten(request);
  return write_result(request, status);
}

int32_t wsgi_httpd_write(request_rec *request, apr_bucket_brigade *brigade, const uint8_t *bytes, size_t length,
                         uint32_t flags) {
  if (length > 0) {
    apr_bucket *bucket = apr_bucket_transient_create((const char *)bytes, length, request->connection->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(brigade, bucket);
  }
  return pass(request, brigade, flags);
}

int32_t wsgi_httpd_write_file(request_rec *request, apr_bucket_brigade *brigade, int32_t descriptor, int64_t offset,
                              int64_t length, int32_t sendfile, uint32_t flags) {
  apr_file_t *borrowed, *file;
  apr_int32_t mode = APR_FOPEN_READ | (sendfile ? APR_FOPEN_SENDFILE_ENABLED : 0);
  char path[32];
  apr_snprintf(path, sizeof path, "/proc/self/fd/%d", (int)descriptor);
  /* The bytes may leave after the handler has returned, and other requests may send the same file: httpd reads it from where
   * its descriptor stands, so it gets one that stands alone.  A file that only the application may open is shared, and so is
   * one under a lease, whose holder could have an ordinary open() wait for as long as the kernel lets him. */
  int opened = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  apr_os_file_t number = opened >= 0 ? opened : descriptor;
  apr_status_t status = apr_os_file_put(&borrowed, &number, mode, request->pool);
  if (status == APR_SUCCESS) status = apr_file_dup(&file, borrowed, request->pool);
  if (opened >= 0) close(opened);
  if (status != APR_SUCCESS) return WSGI_IO_FAILED;
  apr_bucket *bucket = apr_brigade_insert_file(brigade, file, offset, length, request->pool);
  /* A mapped file that its owner truncates kills the process that reads it. */
  for (; bucket != APR_BRIGADE_SENTINEL(brigade); bucket = APR_BUCKET_NEXT(bucket)) {
    apr_bucket_file_enable_mmap(bucket, 0);
    apr_bucket_file_set_buf_size(bucket, FILE_READ_SIZE);
  }
  return pass(request, brigade, flags);
}

void wsgi_httpd_cut(request_rec *request, apr_bucket_brigade *brigade) {
  apr_bucket_alloc_t *allocator = request->connection->bucket_alloc;
  request->connection->keepalive = AP_CONN_CLOSE;
  apr_brigade_cleanup(brigade);
  /* The chunk filter takes this status for "stream aborted" and withholds the last chunk; HTTP/2 resets the stream. */
  APR_BRIGADE_INSERT_TAIL(brigade, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, request->pool, allocator));
  APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(allocator));
  ap_pass_brigade(request->output_filters, brigade);
  apr_brigade_cleanup(brigade);
}

/* ---- Without waiting ---- */

/* Filters that pass bytes on as they are.  Any other may wait: compression, rate limits, TLS, HTTP/2. */
static int passes_directly(const ap_filter_t *filter) {
  for (; filter; filter = filter->next) {
    int type = (int)filter->frec->ftype;
    if (type != AP_FTYPE_PROTOCOL && type != AP_FTYPE_TRANSCODE && type < AP_FTYPE_NETWORK - 1) return 0;
  }
  return 1;
}

static size_t buffered_by_httpd(const conn_rec *connection) {
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 97)
  const core_server_config *core = ap_get_core_module_config(connection->base_server->module_config);
  return core->flush_max_threshold > 0 ? (size_t)core->flush_max_threshold : 0;
#else
  return 65536;
#endif
}

int32_t wsgi_httpd_would_fit(request_rec *request, size_t length) {
  conn_rec *connection = request->connection;
  if (connection->master || !passes_directly(request->output_filters)) return 0;
  /* httpd keeps this much itself before it waits for the client. */
  if (!connection->data_in_output_filters && length < buffered_by_httpd(connection)) return 1;
  int number = wsgi_httpd_client_socket(request), queued = 0, room = 0;
  socklen_t size = sizeof(room);
  if (number < 0 || ioctl(number, SIOCOUTQ, &queued) != 0 || getsockopt(number, SOL_SOCKET, SO_SNDBUF, &room, &size) != 0 ||
      queued < 0 || room < 0) {
    return 0;
  }
  /* The kernel counts its own overhead against the buffer: at worst about as much as the data. */
  return !connection->data_in_output_filters && (size_t)room / 2 > (size_t)queued + length;
}
