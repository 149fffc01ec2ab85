#include "CPosix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

typedef union control {
  char bytes[CMSG_SPACE(sizeof(int32_t) * WSGI_POSIX_DESCRIPTORS)];
  struct cmsghdr header;
} control;

ssize_t wsgi_posix_send(int socket, const struct iovec *parts, int count, const int32_t *descriptors, int descriptor_count,
                        int flags) {
  struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
  control space;
  if (descriptors && descriptor_count > 0) {
    if (descriptor_count > WSGI_POSIX_DESCRIPTORS) return -EINVAL;
    size_t length = sizeof(int32_t) * (size_t)descriptor_count;
    space.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(length), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&space.header), descriptors, length);
    message.msg_control = space.bytes;
    message.msg_controllen = CMSG_LEN(length);
  }
  for (;;) {
    ssize_t sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

static void close_all(wsgi_posix_descriptors *descriptors) {
  for (int32_t i = 0; i < descriptors->count; i++) close(descriptors->values[i]);
  descriptors->count = 0;
  descriptors->refused = 1;
}

ssize_t wsgi_posix_receive_once(int socket, void *buffer, size_t capacity, int flags, wsgi_posix_descriptors *descriptors) {
  struct iovec part = {.iov_base = buffer, .iov_len = capacity};
  control space;
  /* CMSG_LEN rather than CMSG_SPACE: the padding would let one descriptor more in than there is a place for. */
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = space.bytes,
                           .msg_controllen = CMSG_LEN(sizeof(int32_t) * WSGI_POSIX_DESCRIPTORS)};
  descriptors->count = 0;
  descriptors->refused = 0;
  ssize_t received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (received < 0) return -errno;
  if (message.msg_controllen == 0) return received;
  for (struct cmsghdr *part_header = CMSG_FIRSTHDR(&message); part_header; part_header = CMSG_NXTHDR(&message, part_header)) {
    if (part_header->cmsg_level != SOL_SOCKET || part_header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part_header->cmsg_len - CMSG_LEN(0)) / sizeof(int32_t);
    const unsigned char *data = CMSG_DATA(part_header);
    for (size_t i = 0; i < count && descriptors->count < WSGI_POSIX_DESCRIPTORS; i++)
      memcpy(&descriptors->values[descriptors->count++], data + i * sizeof(int32_t), sizeof(int32_t));
  }
  if (message.msg_flags & MSG_CTRUNC) close_all(descriptors);
  return received;
}

ssize_t wsgi_posix_receive(int socket, void *buffer, size_t capacity, int flags, wsgi_posix_descriptors *descriptors) {
  for (;;) {
    ssize_t received = wsgi_posix_receive_once(socket, buffer, capacity, flags, descriptors);
    if (received != -EINTR) return received;
  }
}

int wsgi_posix_socket_pair(int type, int32_t *ends) {
  return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : -errno;
}

void wsgi_posix_refuse_descriptors(int socket) {
  /* Known not to be there: it is not asked for again with every request. */
  static int is_missing;
  if (__atomic_load_n(&is_missing, __ATOMIC_RELAXED)) return;
  int pass = 0;
  if (setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &pass, sizeof pass) != 0) __atomic_store_n(&is_missing, 1, __ATOMIC_RELAXED);
}

ssize_t wsgi_posix_send_file(int file, int64_t *offset, int socket, size_t length) {
  for (;;) {
    off_t position = (off_t)*offset;
    ssize_t moved = sendfile(socket, file, &position, length);
    if (moved >= 0) {
      *offset = position;
      return moved;
    }
    if (errno != EINTR) return -errno;
  }
}

int wsgi_posix_receive_timeout(int socket, int64_t milliseconds) {
  struct timeval limit = {.tv_sec = milliseconds / 1000, .tv_usec = (milliseconds % 1000) * 1000};
  return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 ? 0 : -errno;
}

int wsgi_posix_send_buffer(int socket, int bytes) {
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0 &&
      setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) != 0)
    return -errno;
  int held = 0;
  socklen_t length = sizeof held;
  return getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &held, &length) == 0 ? held : -errno;
}

int wsgi_posix_unread(int socket) {
  int bytes = 0;
  return ioctl(socket, SIOCOUTQ, &bytes) == 0 ? bytes : -errno;
}

int wsgi_posix_take_over_queue(int offered, int write_end, int read_end) {
  const int places[2] = {write_end, read_end};
  wsgi_posix_descriptors ends;
  char byte;
  ssize_t count = wsgi_posix_receive(offered, &byte, 1, MSG_PEEK | MSG_DONTWAIT, &ends);
  if (count == -EAGAIN) return 0;
  if (count < 0) return (int)count;
  int result = ends.count == 2 ? 1 : ends.refused ? -EMFILE : -EPIPE;
  for (int i = 0; i < ends.count; i++) {
    if (result == 1 && places[i] >= 0 && dup3(ends.values[i], places[i], O_CLOEXEC) < 0) result = -errno;
    close(ends.values[i]);
  }
  return result;
}

/* The kernel passes no more descriptors at a time (SCM_MAX_FD). */
typedef union kept_control {
  char bytes[CMSG_SPACE(sizeof(int32_t) * WSGI_POSIX_MOST_KEPT)];
  struct cmsghdr header;
} kept_control;

int wsgi_posix_keep_descriptors(int socket, const int32_t *descriptors, int count) {
  if (count < 1 || count > WSGI_POSIX_MOST_KEPT) return -EINVAL;
  char byte = 1;
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  kept_control space;
  size_t length = sizeof(int32_t) * (size_t)count;
  space.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(length), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&space.header), descriptors, length);
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = CMSG_LEN(length)};
  return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int wsgi_posix_copy_kept_descriptors(int socket, int32_t *descriptors, int capacity) {
  char byte;
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  kept_control space;
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  if (recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return -errno;
  struct cmsghdr *header = message.msg_controllen ? CMSG_FIRSTHDR(&message) : NULL;
  if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return -EBADMSG;
  int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int32_t));
  int fits = count <= capacity && !(message.msg_flags & MSG_CTRUNC);
  for (int i = 0; i < count; i++) {
    int32_t descriptor;
    memcpy(&descriptor, CMSG_DATA(header) + (size_t)i * sizeof descriptor, sizeof descriptor);
    if (fits) {
      descriptors[i] = descriptor;
    } else {
      close(descriptor);
    }
  }
  return fits ? count : -EMFILE;
}

int wsgi_posix_await_either(int preferred, int other) {
  struct pollfd entries[2] = {{.fd = preferred, .events = POLLIN}, {.fd = other, .events = POLLIN}};
  if (poll(entries, 2, -1) < 0) return -errno;
  return entries[0].revents ? preferred : other;
}

static int failed(int file) {
  int failure = -errno;
  close(file);
  return failure;
}

int wsgi_posix_sealed_file(const void *bytes, size_t length) {
  int file = memfd_create("wsgi-request", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -errno;
  for (size_t done = 0; done < length;) {
    ssize_t written = write(file, (const char *)bytes + done, length - done);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;
    if (written <= 0) return failed(file);
    done += (size_t)written;
  }
  return fcntl(file, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0 ? file : failed(file);
}

int64_t wsgi_posix_sealed_size(int descriptor) {
  int seals = fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & SEALS) != SEALS) return -EINVAL;
  struct stat status;
  if (fstat(descriptor, &status) != 0) return -errno;
  return S_ISREG(status.st_mode) ? (int64_t)status.st_size : -EINVAL;
}

int64_t wsgi_posix_readable_size(int descriptor) {
  int mode = fcntl(descriptor, F_GETFL);
  struct stat status;
  if (mode < 0 || fstat(descriptor, &status) != 0) return -errno;
  if ((mode & O_ACCMODE) == O_WRONLY || (mode & O_PATH) || !S_ISREG(status.st_mode)) return -EINVAL;
  return (int64_t)status.st_size;
}
