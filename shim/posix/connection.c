/* Connections of any local process to a socket with a path. */
#include "CPosix.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int wsgi_posix_accept(int listener, uid_t *user, pid_t *process) {
  int socket;
  do {
    socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (socket < 0 && errno == EINTR);
  if (socket < 0) return -errno;
  struct ucred peer = {.uid = (uid_t)-1};
  socklen_t length = sizeof peer;
  /* Who connected, whoever has the socket now. */
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) peer.uid = (uid_t)-1;
  *user = peer.uid;
  *process = peer.pid;
  return socket;
}

pid_t wsgi_posix_peer(int socket) {
  struct ucred peer = {.pid = 0};
  socklen_t length = sizeof peer;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : 0;
}

ssize_t wsgi_posix_peek(int socket, void *buffer, size_t capacity) {
  struct iovec part = {.iov_base = buffer, .iov_len = capacity};
  /* Without room for descriptors the kernel gives none out, and says that there are some. */
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  ssize_t count;
  do {
    count = recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  return message.msg_flags & MSG_CTRUNC ? -EBADMSG : count;
}

int32_t wsgi_posix_shut_out(int socket) {
  char bytes[4096];
  int waiting = 0;
  if (shutdown(socket, SHUT_RD) != 0 && errno != ENOTCONN) return 0;
  if (ioctl(socket, FIONREAD, &waiting) != 0) return 0;
  /* A receive ends where descriptors come along: these bytes are all that there is. */
  return waiting == 0 || wsgi_posix_peek(socket, bytes, sizeof bytes) == waiting;
}
