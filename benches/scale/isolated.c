/* The floor for whoever isolates and listens: `isolated COUNT CHILD JOURNAL GROUPS ORDER` does what `floor` does, gives each
 * child a control group of its own below GROUPS (cgroups of version 2) and a pipe for each of its streams, and waits for all of
 * these and for the child's end in one poll. ORDER is `once` or `turn`: at TERM it ends all at once, while another thread removes
 * the groups of those that are gone, or the last one first and each when the one before is gone. It reads no file, plans nothing,
 * writes nothing down, looks for no grandchild and prints nothing.
 *
 * A child shares its memory until the exec, as in posix_spawn, and is born in its group (Linux 5.7). For x86-64 alone: a system
 * call that returns twice on one stack must not be made in a function that returns. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the system call below is written for x86-64"
#endif

/* The first of two descriptors that hold a child's streams for it. */
#define SEATS 10

struct child {
    pid_t pid;
    int pidfd, out, err;
};

static struct child *children;
static char *program, *journal, groups[512];
static int poll_of_all;

static void must(int fine, const char *what) {
    if (fine) return;
    perror(what);
    exit(1);
}

static void name_group(int number, char *path, size_t room) { snprintf(path, room, "%s/%d", groups, number); }

static void watch(int descriptor, int number) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    must(epoll_ctl(poll_of_all, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl");
}

/* Takes the seats of a child's streams; whoever reads these hears of their end when nobody else has them. */
static void keep_seats(void) {
    must(dup3(poll_of_all, SEATS, O_CLOEXEC) == SEATS && dup3(poll_of_all, SEATS + 1, O_CLOEXEC) == SEATS + 1, "dup3");
}

/* In the child, with the memory and the descriptors of its parent, who waits. It takes the lowest of these along alone: a table
 * of thousands is dear to copy, and dear to empty at the exec. */
static __attribute__((noinline, noreturn)) void become(char **arguments) {
    sigset_t none;
    sigemptyset(&none);
    close_range(SEATS + 2, ~0U, CLOSE_RANGE_UNSHARE);
    setsid();
    dup2(SEATS, STDOUT_FILENO);
    dup2(SEATS + 1, STDERR_FILENO);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char *environment[] = {NULL};
    execve(program, arguments, environment);
    _exit(127);
}

static __attribute__((noinline)) pid_t clone_into(int group, int *pidfd, char **arguments) {
    struct clone_args clone = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = group,
    };
    long pid;
    __asm__ volatile("syscall"
                     : "=a"(pid)
                     : "a"(SYS_clone3), "D"(&clone), "S"(sizeof clone)
                     : "rcx", "r11", "memory");
    if (pid == 0) become(arguments);
    errno = pid < 0 ? -pid : 0;
    return pid;
}

static void start(int number) {
    char path[560], argument[512];
    int out[2], err[2], pidfd;
    name_group(number, path, sizeof path);
    must(mkdir(path, 0755) == 0, path);
    int group = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    must(group >= 0, path);
    must(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "pipe2");
    snprintf(argument, sizeof argument, "%s#%d", journal, number);
    char *arguments[] = {program, argument, NULL};
    must(dup3(out[1], SEATS, O_CLOEXEC) == SEATS && dup3(err[1], SEATS + 1, O_CLOEXEC) == SEATS + 1, "dup3");
    pid_t pid = clone_into(group, &pidfd, arguments);
    must(pid > 0, "clone3");
    close(group);
    close(out[1]);
    close(err[1]);
    keep_seats();
    watch(out[0], number);
    watch(err[0], number);
    watch(pidfd, number);
    children[number] = (struct child){pid, pidfd, out[0], err[0]};
}

static void tell(int number) { syscall(SYS_pidfd_send_signal, children[number].pidfd, SIGTERM, NULL, 0); }

/* Lets go of one that has ended. */
static void bury(int number) {
    struct child *child = &children[number];
    waitpid(child->pid, NULL, 0);
    close(child->pidfd);
    close(child->out);
    close(child->err);
}

static void remove_group(int number) {
    char path[560];
    name_group(number, path, sizeof path);
    must(rmdir(path) == 0, path);
}

/* Removes the groups of those whose numbers come through the pipe, beside whoever buries them. */
static void *remove_groups(void *pipe) {
    int number;
    while (read(*(int *)pipe, &number, sizeof number) == sizeof number) remove_group(number);
    return NULL;
}

/* Ends all at once. */
static void stop_at_once(int count) {
    int buried[2];
    pthread_t remover;
    must(pipe2(buried, O_CLOEXEC) == 0, "pipe2");
    must(pthread_create(&remover, NULL, remove_groups, &buried[0]) == 0, "pthread_create");
    for (int number = 0; number < count; number++) tell(number);
    for (int number = count - 1; number >= 0; number--) {
        bury(number);
        must(write(buried[1], &number, sizeof number) == sizeof number, "write");
    }
    close(buried[1]);
    pthread_join(remover, NULL);
}

/* Ends one after the other, the last one first. */
static void stop_in_turn(int count) {
    for (int number = count - 1; number >= 0; number--) {
        tell(number);
        bury(number);
        remove_group(number);
    }
}

int main(int count_of_arguments, char **arguments) {
    if (count_of_arguments != 6) {
        fputs("isolated COUNT CHILD JOURNAL GROUPS once|turn\n", stderr);
        return 2;
    }
    int count = atoi(arguments[1]);
    program = arguments[2];
    journal = arguments[3];
    snprintf(groups, sizeof groups, "%s/isolated.%d", arguments[4], getpid());
    int in_turn = strcmp(arguments[5], "turn") == 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    must(mkdir(groups, 0755) == 0, groups);
    children = calloc(count, sizeof *children);
    poll_of_all = epoll_create1(EPOLL_CLOEXEC);
    keep_seats();
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGCHLD);
    sigprocmask(SIG_BLOCK, &heard, NULL);
    for (int number = 0; number < count; number++) start(number);
    for (;;) {
        siginfo_t info;
        int signal = sigwaitinfo(&heard, &info);
        if (signal == SIGTERM) break;
        if (signal != SIGCHLD) continue;
        for (int number = 0; number < count; number++)
            if (children[number].pid == info.si_pid) {
                bury(number);
                remove_group(number);
                start(number);
                break;
            }
    }
    if (in_turn) stop_in_turn(count);
    else stop_at_once(count);
    must(rmdir(groups) == 0, groups);
    return 0;
}
