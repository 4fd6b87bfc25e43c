/* What the others are measured against: `floor COUNT CHILD JOURNAL` starts so many children by `posix_spawn` in a loop, starts
 * again whatever ends, and at TERM ends all of them and reaps them. It reads no file, takes no output and keeps no order.
 *
 * It spawns as one does who isolates: a session of its own, default signals, an empty mask. */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static char *child, *journal;
static posix_spawnattr_t attributes;

static pid_t start(int number) {
    char argument[512];
    snprintf(argument, sizeof argument, "%s#%d", journal, number);
    char *arguments[] = {child, argument, NULL};
    pid_t pid;
    if (posix_spawn(&pid, child, NULL, &attributes, arguments, (char *[]){NULL}) != 0) {
        perror("posix_spawn");
        exit(1);
    }
    return pid;
}

int main(int count_of_arguments, char **arguments) {
    if (count_of_arguments != 4) {
        fputs("floor COUNT CHILD JOURNAL\n", stderr);
        return 2;
    }
    int count = atoi(arguments[1]);
    child = arguments[2];
    journal = arguments[3];
    pid_t *pids = calloc(count, sizeof *pids);
    sigset_t none, all, heard;
    sigemptyset(&none);
    sigfillset(&all);
    sigemptyset(&heard);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGCHLD);
    sigprocmask(SIG_BLOCK, &heard, NULL);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    for (int number = 0; number < count; number++) pids[number] = start(number);
    for (;;) {
        int signal = sigwaitinfo(&heard, NULL);
        if (signal == SIGTERM) break;
        if (signal != SIGCHLD) continue;
        for (pid_t ended; (ended = waitpid(-1, NULL, WNOHANG)) > 0;)
            for (int number = 0; number < count; number++)
                if (pids[number] == ended) {
                    pids[number] = start(number);
                    break;
                }
    }
    for (int number = 0; number < count; number++) kill(pids[number], SIGTERM);
    for (int number = 0; number < count; number++) waitpid(pids[number], NULL, 0);
    return 0;
}
