/* The brigades that carry a request's body to the application, through whatever input filters a site has set. */
#include "private.h"

#include <stdlib.h>
#include <string.h>
#include <util_filter.h>

#include "../engine.h"

/* How much is asked of the filters at once; what the application does not take yet stays in the brigade. */
#define READ_AHEAD 65536
/* How often filters that take bytes and give none are asked in a read that must not wait, before others have a turn. */
#define PATIENCE 64
/* How often filters that neither take nor give are asked in a read that waits. */
#define STALLS 16

static int64_t read_failure(request_rec *request, apr_status_t status) {
  /* The rest of the body may or may not come: what follows on this connection cannot be told from it. */
  request->connection->keepalive = AP_CONN_CLOSE;
  if (status == AP_FILTER_ERROR) return WSGI_HTTPD_ANSWERED;
  if (APR_STATUS_IS_TIMEUP(status)) return WSGI_IO_TIMEOUT;
  if (APR_STATUS_IS_ENOSPC(status)) return WSGI_IO_TOO_LARGE;
  if (APR_STATUS_IS_EOF(status) || APR_STATUS_IS_ECONNABORTED(status) || APR_STATUS_IS_ECONNRESET(status) ||
      APR_STATUS_IS_INCOMPLETE(status) || APR_STATUS_IS_EPIPE(status) || request->connection->aborted) {
    return WSGI_IO_CLOSED;
  }
  return WSGI_IO_FAILED;
}

/* ---- Filters that hold bytes back ---- */

/* Decompression, a program (mod_ext_filter), an editor (mod_sed) may take bytes without giving any yet, and say so with an empty
 * brigade, as does a read that would have to wait.  Below them this filter sees which of the two it was. */
static ap_filter_rec_t *watcher;

static apr_status_t watch(ap_filter_t *filter, apr_bucket_brigade *brigade, ap_input_mode_t mode, apr_read_type_e block,
                          apr_off_t bytes) {
  int *brought_bytes = filter->ctx;
  apr_status_t status = ap_get_brigade(filter->next, brigade, mode, block, bytes);
  *brought_bytes = status == APR_SUCCESS && !APR_BRIGADE_EMPTY(brigade);
  return status;
}

void wsgi_httpd_register_input_filter(void) {
  watcher = ap_register_input_filter("WSGI_WATCH_INPUT", watch, NULL, AP_FTYPE_PROTOCOL - 1);
}

/* Where the watcher of this request notes what it saw last; NULL where no filter could hold anything back. */
static int *find_watch(request_rec *request) {
  if (request->input_filters == request->proto_input_filters) return NULL;
  for (ap_filter_t *filter = request->input_filters; filter; filter = filter->next) {
    if (filter->frec == watcher) return filter->ctx;
  }
  int *brought_bytes = apr_pcalloc(request->pool, sizeof *brought_bytes);
  ap_add_input_filter_handle(watcher, brought_bytes, request, request->connection);
  return brought_bytes;
}

static int has_content(apr_bucket_brigade *brigade) {
  for (apr_bucket *bucket = APR_BRIGADE_FIRST(brigade); bucket != APR_BRIGADE_SENTINEL(brigade);
       bucket = APR_BUCKET_NEXT(bucket)) {
    if (APR_BUCKET_IS_EOS(bucket) || (!APR_BUCKET_IS_METADATA(bucket) && bucket->length != 0)) return 1;
  }
  return 0;
}

/* ---- Reading ---- */

/* Fills an empty brigade.  0, or the failure. */
static int64_t fill(request_rec *request, apr_bucket_brigade *brigade, int32_t wait) {
  int *brought_bytes = find_watch(request);
  for (int asked = 0, stalled = 0;; asked++) {
    if (brought_bytes) *brought_bytes = 0;
    apr_status_t status = ap_get_brigade(request->input_filters, brigade, AP_MODE_READBYTES,
                                         wait ? APR_BLOCK_READ : APR_NONBLOCK_READ, READ_AHEAD);
    if (!wait && APR_STATUS_IS_EAGAIN(status)) return WSGI_IO_WOULD_BLOCK;
    if (status != APR_SUCCESS) return read_failure(request, status);
    if (has_content(brigade)) return 0;
    apr_brigade_cleanup(brigade);
    if (brought_bytes && *brought_bytes) {
      /* A client pays for every turn with bytes of its body.  The worker must not wait for it all the same. */
      if (!wait && asked >= PATIENCE) return WSGI_HTTPD_HELD_BACK;
      stalled = 0;
    } else if (!wait) {
      return WSGI_IO_WOULD_BLOCK;
    } else if (++stalled >= STALLS) {
      return read_failure(request, APR_EGENERAL);
    }
  }
}

int64_t wsgi_httpd_read(request_rec *request, apr_bucket_brigade *brigade, uint8_t *buffer, size_t capacity, int32_t wait) {
  size_t taken = 0;
  while (taken < capacity) {
    if (APR_BRIGADE_EMPTY(brigade)) {
      int64_t failure = taken > 0 ? 0 : fill(request, brigade, wait);
      if (taken > 0 || failure != 0) return taken > 0 ? (int64_t)taken : failure;
    }
    apr_bucket *bucket = APR_BRIGADE_FIRST(brigade);
    /* The end stays in the brigade, so that every later read finds it. */
    if (APR_BUCKET_IS_EOS(bucket)) break;
    if (!APR_BUCKET_IS_METADATA(bucket)) {
      const char *data;
      apr_size_t length;
      apr_status_t status = apr_bucket_read(bucket, &data, &length, APR_BLOCK_READ);
      if (status != APR_SUCCESS) return taken > 0 ? (int64_t)taken : read_failure(request, status);
      if (length > capacity - taken) {
        length = capacity - taken;
        apr_bucket_split(bucket, length);
      }
      memcpy(buffer + taken, data, length);
      taken += length;
    }
    apr_bucket_delete(bucket);
  }
  return (int64_t)taken;
}

