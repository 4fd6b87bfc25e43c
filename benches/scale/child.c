/* The process that the bench lets supervisors run: `child JOURNAL#NUMBER`. One argument, so that `#!` can pass it; what it
 * adds is ignored.
 *
 * It notes its exec, the TERM or INT that ends it, and its exit in the journal, and is an ordinary small program otherwise,
 * with its C library linked into it. `JOURNAL.bell` is a FIFO that it writes a byte to when a target is reached. */
#define _GNU_SOURCE
#include "journal.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct journal *journal;
static char path[512];
static uint32_t own_number;

static void ring(void) {
    char bell[600];
    snprintf(bell, sizeof bell, "%s.bell", path);
    int fifo = open(bell, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fifo < 0 || write(fifo, "!", 1) != 1) exit(5);
    close(fifo);
}

static void note(enum kind kind, uint32_t signal) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint32_t place = __atomic_fetch_add(&journal->next, 1, __ATOMIC_SEQ_CST);
    if (place < journal->room)
        journal->records[place] = (struct record){
            .nanoseconds = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec,
            .kind = kind,
            .number = own_number,
            .pid = getpid(),
            .signal = signal,
        };
    uint32_t count = __atomic_add_fetch(&journal->count[kind], 1, __ATOMIC_SEQ_CST);
    if (count == __atomic_load_n(&journal->target[kind], __ATOMIC_SEQ_CST)) ring();
}

int main(int count_of_arguments, char **arguments) {
    char *hash = count_of_arguments >= 2 ? strchr(arguments[1], '#') : NULL;
    if (!hash || (size_t)(hash - arguments[1]) >= sizeof path) return 2;
    memcpy(path, arguments[1], hash - arguments[1]);
    own_number = strtoul(hash + 1, NULL, 10);
    int file = open(path, O_RDWR | O_CLOEXEC);
    struct stat stat;
    if (file < 0 || fstat(file, &stat) != 0) return 3;
    journal = mmap(NULL, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (journal == MAP_FAILED) return 4;
    close(file);
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    note(EXEC, 0);
    int signal;
    do signal = sigwaitinfo(&ending, NULL);
    while (signal < 0);
    note(SIGNALLED, signal);
    note(EXITING, signal);
    return 0;
}
