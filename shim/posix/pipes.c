#include "supervision.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The two ends are open files of their own: what is set for one does not hold for the other. */
static int32_t make_pipe(int32_t *ends, int flags, int writer_flags) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC | flags) != 0) return -errno;
  if (fcntl(pair[0], F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(pair[1], F_SETFL, flags | writer_flags) != 0) {
    int32_t failure = -errno;
    close(pair[0]);
    close(pair[1]);
    return failure;
  }
  ends[0] = pair[0];
  ends[1] = pair[1];
  return 0;
}

int32_t wsgi_posix_output_pipe(int32_t *ends) { return make_pipe(ends, 0, 0); }

int32_t wsgi_posix_report_pipe(int32_t *ends) { return make_pipe(ends, O_DIRECT, O_NONBLOCK); }

int32_t wsgi_posix_waiting(int32_t socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) == 0 ? bytes : -errno;
}
