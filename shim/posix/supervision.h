/* What process supervision needs of the system and Swift's Glibc import cannot express: code that runs between fork and
 * exec, variadic calls (prctl, fcntl, syscall), W* macros, structures with unions.  Results below zero are negated errno
 * values. */
#ifndef WSGI_POSIX_SUPERVISION_H
#define WSGI_POSIX_SUPERVISION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/* A launched process finds descriptors 0 ... WSGI_POSIX_LAST_DESCRIPTOR open, and no other. */
#define WSGI_POSIX_LAST_DESCRIPTOR 8

/* Starts `path` in a session of its own, with default signal dispositions, no blocked signals, and descriptors[i] as its
 * descriptor i.  Between fork and exec runs C that is safe there, whatever threads the caller has.  `argv` and `envp` end with
 * NULL.  The `given` descriptors are the launched process's: they are closed here before it runs, lest this process be the last
 * to close what the launched one has done something to; if it cannot be started they are closed all the same.  Returns the
 * process id; a child whose exec failed has been reaped. */
int32_t wsgi_posix_launch(const char *path, char *_Nullable const *_Nonnull argv, char *_Nullable const *_Nonnull envp,
                          const int32_t *descriptors, const int32_t *given, size_t given_count);

/* fork(), which Swift marks unavailable. */
int32_t wsgi_posix_fork(void);

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

#pragma clang assume_nonnull end
#endif
