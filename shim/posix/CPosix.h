/* What Swift's Glibc import cannot express.  Results below zero are negated errno values. */
#ifndef WSGI_CPOSIX_H
#define WSGI_CPOSIX_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/types.h>
#include <sys/uio.h>

#pragma clang assume_nonnull begin

/* ---- Sockets that carry descriptors, and memory files: CMSG_* are macros over a variable-length structure, the seals over
 * casts ---- */

enum { WSGI_POSIX_DESCRIPTORS = 2 /* the most that a message may carry */ };

typedef struct wsgi_posix_descriptors {
  int32_t values[WSGI_POSIX_DESCRIPTORS];
  int32_t count;
  /* 1: the sender passed more than fit, or the process had no room for them.  What did arrive has been closed. */
  int32_t refused;
} wsgi_posix_descriptors;

/* sendmsg without SIGPIPE, again after EINTR.  The descriptors stay the caller's. */
ssize_t wsgi_posix_send(int socket, const struct iovec *parts, int count, const int32_t *_Nullable descriptors,
                        int descriptor_count, int flags);

/* recvmsg, again after EINTR, or once.  Descriptors arrive close-on-exec and become the caller's. */
ssize_t wsgi_posix_receive(int socket, void *buffer, size_t capacity, int flags, wsgi_posix_descriptors *descriptors);
ssize_t wsgi_posix_receive_once(int socket, void *buffer, size_t capacity, int flags, wsgi_posix_descriptors *descriptors);

/* A close-on-exec pair of AF_UNIX sockets of `type`: 0, or -errno. */
int wsgi_posix_socket_pair(int type, int32_t *ends);

/* Has the kernel refuse descriptors that are sent to `socket`, where it can (Linux 6.16).  Otherwise the receiver closes them,
 * which may take long. */
void wsgi_posix_refuse_descriptors(int socket);

/* The next connection at a listening socket, close-on-exec and non-blocking, and who made it; or -errno. */
int wsgi_posix_accept(int listener, uid_t *user, pid_t *process);
/* The process that listens at the other end of a connection; 0: unknown. */
pid_t wsgi_posix_peer(int socket);
/* Looks at what has come through a stream socket and takes nothing out: the bytes, 0 at the end, or -errno, which is -EBADMSG
 * where descriptors come along. */
ssize_t wsgi_posix_peek(int socket, void *buffer, size_t capacity);
/* Lets nothing further in, and says whether nothing that is left in the socket can hold up whoever closes it: it holds no
 * descriptors, as far as can be told. */
int32_t wsgi_posix_shut_out(int socket);

/* Moves bytes of a file into a non-blocking socket without copying them; `offset` moves along.  0: the file has no more. */
ssize_t wsgi_posix_send_file(int file, int64_t *offset, int socket, size_t length);

/* SO_RCVTIMEO: a blocking receive fails with EAGAIN after so many milliseconds; 0 waits for ever. */
int wsgi_posix_receive_timeout(int socket, int64_t milliseconds);

/* The send buffer of a socket, past net.core.wmem_max where the process may do that.  The size that holds, or -errno. */
int wsgi_posix_send_buffer(int socket, int bytes);

/* Bytes that the peer of a socket has not read yet, with the kernel's bookkeeping, or -errno. */
int wsgi_posix_unread(int socket);

/* Puts the two ends of a queue, write end first, that the first message at `offered` carries in the place of descriptors
 * `write_end` and `read_end` (-1: that end is not wanted).  The message stays there for others.  1: done; 0: nothing is offered
 * yet; -errno, which is -EPIPE where no process is left that could offer anything. */
int wsgi_posix_take_over_queue(int offered, int write_end, int read_end);

/* Leaves `count` descriptors, WSGI_POSIX_MOST_KEPT at most, in a socket as one message; they stay the caller's too.  0, or
 * -errno. */
#define WSGI_POSIX_MOST_KEPT 253
int wsgi_posix_keep_descriptors(int socket, const int32_t *descriptors, int count);
/* Copies of those that the first message at `socket` carries, close-on-exec; the message stays there for others.  How many there
 * are, or -errno. */
int wsgi_posix_copy_kept_descriptors(int socket, int32_t *descriptors, int capacity);

/* Waits until one of two sockets has something to receive: the first that does, the preferred one before the other, or -errno,
 * which is -EINTR after a signal. */
int wsgi_posix_await_either(int preferred, int other);

/* A memory file with these bytes, sealed against every change: a descriptor, or -errno. */
int wsgi_posix_sealed_file(const void *bytes, size_t length);

/* The size of a memory file that can neither shrink nor change: -EINVAL for any other file. */
int64_t wsgi_posix_sealed_size(int descriptor);

/* The size of a regular file that is open for reading: -EINVAL for any other descriptor. */
int64_t wsgi_posix_readable_size(int descriptor);

/* ---- Process supervision: code between fork and exec, variadic calls (prctl, fcntl, syscall), W* macros ---- */

/* A launched process finds descriptors 0 ... WSGI_POSIX_LAST_DESCRIPTOR open, and no other. */
#define WSGI_POSIX_LAST_DESCRIPTOR 9

/* Starts `path` in a session of its own, with default signal dispositions, no blocked signals, and descriptors[i] as its
 * descriptor i.  Between fork and exec runs C that is safe there, whatever threads the caller has.  `argv` and `envp` end with
 * NULL.  The `given` descriptors are the launched process's: they are closed here before it runs, lest this process be the last
 * to close what the launched one has done something to; if it cannot be started they are closed all the same.  Returns the
 * process id; a child whose exec failed has been reaped. */
int32_t wsgi_posix_launch(const char *path, char *_Nullable const *_Nonnull argv, char *_Nullable const *_Nonnull envp,
                          const int32_t *descriptors, const int32_t *given, size_t given_count);

/* How wsgi_posix_execute starts a program. */
typedef struct wsgi_posix_program {
  int32_t descriptors[3]; /* its standard streams */
  /* 1: as this user, with these groups alone. */
  int32_t drops;
  uint32_t uid, gid;
  const uint32_t *_Nullable groups;
  size_t group_count;
  int32_t own_session; /* 1: out of reach of the caller's terminal */
  int32_t ends_with_parent; /* 1: gets SIGTERM when the caller ends, however that does */
} wsgi_posix_program;

/* Starts a program in `directory` for the command, with default signal dispositions; other descriptors have to be close-on-exec.
 * Returns the process id, or -errno; a child whose exec failed has been reaped. */
int32_t wsgi_posix_execute(const char *path, char *_Nullable const *_Nonnull argv, char *_Nullable const *_Nonnull envp,
                           const char *directory, const wsgi_posix_program *program);

/* fork(), which Swift marks unavailable. */
int32_t wsgi_posix_fork(void);

/* Makes the calling process the parent of processes below it whose parents end. */
int32_t wsgi_posix_adopt_orphans(void);
/* Has the calling process killed when its parent ends.  Those that it forks are not. */
int32_t wsgi_posix_end_with_parent(void);

/* How a child process ended. */
typedef struct wsgi_posix_end {
  int32_t signal;      /* the signal that killed it; 0: it exited */
  int32_t code;        /* exit code, when signal is 0 */
  int32_t core;        /* 1: a core was dumped */
  int64_t cpu_micros;  /* CPU time that it and its reaped children used, in microseconds */
} wsgi_posix_end;

/* Whether child `pid` has ended; it stays a zombie, so that its id and its process group's cannot be reused meanwhile.
 * 1: it has, 0: it has not. */
int32_t wsgi_posix_has_ended(pid_t pid);

/* A child that has ended and has not been reaped; 0: there is none. */
int32_t wsgi_posix_any_ended(void);
/* Reaps child `pid` without waiting.  1: reaped, 0: still running. */
int32_t wsgi_posix_reap(pid_t pid, wsgi_posix_end *end);

/* A close-on-exec descriptor that polls readable when process `pid` has ended. */
int32_t wsgi_posix_pidfd(pid_t pid);
/* Signals the process behind a pidfd, never another one that got its number. */
int32_t wsgi_posix_pidfd_signal(int32_t pidfd, int32_t signal);

/* Limits the C library's arenas to one for each processor, instead of eight: no more threads can be in malloc at a time, and each
   arena keeps memory that no other uses.  MALLOC_ARENA_MAX and GLIBC_TUNABLES are obeyed.  Before other threads are started. */
void wsgi_posix_limit_arenas(void);
/* The kernel's number of the calling thread. */
int32_t wsgi_posix_thread_id(void);
/* Copies `length` bytes of this process at `address`, which may be any: how many, or -errno. */
ssize_t wsgi_posix_copy_own_memory(void *_Nullable buffer, uintptr_t address, size_t length);

/* How many bytes wait in a socket to be received: no lock is taken that a receiver may hold. */
int32_t wsgi_posix_waiting(int32_t socket);

/* Close-on-exec pipes, the read end non-blocking.  One for output: writers wait for room. */
int32_t wsgi_posix_output_pipe(int32_t *ends);
/* One for packets of at most PIPE_BUF bytes: what is written at once is read at once, and writers do not wait. */
int32_t wsgi_posix_report_pipe(int32_t *ends);

/* The name of the calling thread, which `top -H` shows; the process's for its first one; at most 15 bytes. */
void wsgi_posix_set_name(const char *name);

/* Has a descriptor closed when the process executes a program. */
int32_t wsgi_posix_close_on_exec(int32_t descriptor);

/* Closes every descriptor >= first. */
void wsgi_posix_close_from(int32_t first);

/* A file has an access control list beside its permission bits.  Here because Swift's Glibc has no <sys/xattr.h>. */
int32_t wsgi_posix_has_access_list(const char *path);

/* Identity.  These set and compare real, effective and saved ids together. */
int32_t wsgi_posix_set_gid(gid_t gid);
int32_t wsgi_posix_set_uid(uid_t uid);
int32_t wsgi_posix_set_groups(const gid_t *groups, size_t count);
/* 1: all three user ids are `uid` and all three group ids are `gid`. */
int32_t wsgi_posix_is_identity(uid_t uid, gid_t gid);
/* prctl: PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS. */
int32_t wsgi_posix_set_dumpable(int32_t dumpable);
int32_t wsgi_posix_no_new_privileges(void);
/* Empties the capability bounding set, which only a privileged process can. */
int32_t wsgi_posix_drop_bounding_set(void);
/* Has the next change of the user id leave capabilities permitted, or, with 0, take them again. */
int32_t wsgi_posix_keep_capabilities(int32_t keep);
/* Gives up every capability, inheritable and ambient ones included, but for chroot() where `changes_root`. */
int32_t wsgi_posix_limit_capabilities(int32_t changes_root);
/* 1: the process has, or can inherit, a capability that this leaves out. */
int32_t wsgi_posix_has_capabilities(int32_t besides_changing_root);

/* A directory by name, for fchdir(): relative to `base`, and with `follows` 0 no symbolic link.  Needs no permission to read. */
int32_t wsgi_posix_directory(int32_t base, const char *name, int32_t follows);
/* 1: a directory that is root's, and that root alone may write to. */
int32_t wsgi_posix_is_roots(int32_t directory);
/* 1: it is in a cgroup file system, of version 1 or 2. */
int32_t wsgi_posix_is_control_group(int32_t directory);

/* setrlimit; Swift sees the resource's type differently from one C library to the next. */
enum { WSGI_LIMIT_CPU, WSGI_LIMIT_DATA, WSGI_LIMIT_ADDRESS_SPACE, WSGI_LIMIT_PROCESSES };
int32_t wsgi_posix_set_limit(int32_t limit, uint64_t soft, uint64_t hard);
/* setpriority of the calling process, likewise. */
int32_t wsgi_posix_set_priority(int32_t priority);

/* Gives the calling process default signal dispositions and an empty signal mask. */
void wsgi_posix_default_signals(void);

/* ---- Signals and waiting in a worker: handlers must be C, futex has no libc function, and the real-time signals are macros
 * over a call ---- */

/* From now on SIGQUIT is written, one byte each, to `descriptor`, which must be non-blocking, and SIGUSR1, SIGHUP and
 * SIGUSR2 do nothing until wsgi_posix_catch_signals: a process that is starting has no thread yet that could heed them, and
 * would end.  Forked processes are as described there.  0, or -errno. */
int32_t wsgi_posix_catch_early_signals(int32_t descriptor);
/* From now on SIGTERM, SIGINT, SIGUSR1, SIGXCPU, SIGHUP and SIGUSR2 are written, one byte each, to `descriptor`, which must
 * be non-blocking.  Only in this process: in one that it forks they have their default effect again, whatever the fork did. No
 * signal is blocked, so that programs that the application starts inherit nothing.  SIGPIPE is ignored.  0, or -errno. */
int32_t wsgi_posix_catch_signals(int32_t descriptor);

/* How often the calling thread has given up its processor to wait for something. */
int64_t wsgi_posix_waits(void);

/* Makes a system call in which `thread` waits fail with EINTR.  Without wsgi_posix_accept_interruptions before it, which may
 * be called more than once, it ends the process. */
void wsgi_posix_accept_interruptions(void);
void wsgi_posix_interrupt(pthread_t thread);

/* Waits until a thread wakes `word`, at most `milliseconds` (negative: for ever), unless it is not `expected`. */
void wsgi_posix_wait(const uint32_t *word, uint32_t expected, int64_t milliseconds);
void wsgi_posix_wake(const uint32_t *word, int32_t count);

#pragma clang assume_nonnull end
#endif
