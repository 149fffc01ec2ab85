#include "CPosix.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's half.  Only system calls. */
static _Noreturn void become(const char *path, char *const *argv, char *const *envp, const char *directory,
                             const wsgi_posix_program *program, pid_t parent, int report) {
  if (program->own_session) setsid();
  wsgi_posix_default_signals();
  /* The caller may have put its rights aside for a while. */
  if (program->drops
      && (seteuid(0) != 0 || setgroups(program->group_count, program->groups) != 0 || setgid(program->gid) != 0
          || setuid(program->uid) != 0)) {
    goto failed;
  }
  if (program->ends_with_parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) goto failed;
    if (getppid() != parent) _exit(127);
  }
  if (chdir(directory) != 0) goto failed;
  for (int i = 0; i < 3; i++) {
    /* The same number: dup2 would leave it close-on-exec. */
    if (program->descriptors[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(program->descriptors[i], i) < 0) goto failed;
  }
  execve(path, argv, envp);
failed:;
  int reason = errno;
  ssize_t written = write(report, &reason, sizeof reason);
  (void)written;
  _exit(127);
}

int32_t wsgi_posix_execute(const char *path, char *const *argv, char *const *envp, const char *directory,
                           const wsgi_posix_program *program) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -errno;
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid == 0) become(path, argv, envp, directory, program, parent, report[1]);
  int reason = errno;
  close(report[1]);
  if (pid < 0) {
    close(report[0]);
    return -reason;
  }
  ssize_t count;
  do {
    count = read(report[0], &reason, sizeof reason);
  } while (count < 0 && errno == EINTR);
  close(report[0]);
  if (count == 0) return pid;
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return count == sizeof reason ? -reason : -EIO;
}
