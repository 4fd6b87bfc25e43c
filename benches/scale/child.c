/* The process that the bench lets supervisors run: `child JOURNAL#NUMBER`. One argument, so that `#!` can pass it.
 *
 * It notes its exec, the TERM or INT that ends it, and its exit in the journal, and is as small as a program can be: no C
 * library, no relocation, a few pages. `JOURNAL.bell` is a FIFO that it writes a byte to when a target is reached. */
#include "journal.h"
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/signal.h>
#include <linux/time.h>

#ifndef __x86_64__
#error "its system calls are written for x86-64"
#endif

static long call(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static struct journal *journal;
static char path[512];
static uint32_t own_number;

static void ring(void) {
    int end = 0;
    while (path[end]) end++;
    for (const char *suffix = ".bell"; *suffix; suffix++) path[end++] = *suffix;
    long fifo = call(__NR_open, (long)path, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0, 0, 0, 0);
    path[end - 5] = 0;
    call(__NR_write, fifo, (long)"!", 1, 0, 0, 0);
    call(__NR_close, fifo, 0, 0, 0, 0, 0);
}

static void note(enum kind kind, uint32_t signal) {
    struct timespec now;
    call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)&now, 0, 0, 0, 0);
    uint32_t place = __atomic_fetch_add(&journal->next, 1, __ATOMIC_SEQ_CST);
    if (place < journal->room) {
        struct record *record = &journal->records[place];
        record->nanoseconds = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        record->kind = kind;
        record->number = own_number;
        record->pid = call(__NR_getpid, 0, 0, 0, 0, 0, 0);
        record->signal = signal;
    }
    uint32_t count = __atomic_add_fetch(&journal->count[kind], 1, __ATOMIC_SEQ_CST);
    if (count == __atomic_load_n(&journal->target[kind], __ATOMIC_SEQ_CST)) ring();
}

__attribute__((noreturn)) static void leave(int status) {
    for (;;) call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

__attribute__((noreturn, used)) static void begin(long *stack) {
    if (*stack < 2) leave(2);
    const char *argument = ((char **)(stack + 1))[1];
    int length = 0;
    while (*argument && *argument != '#' && length < 500) path[length++] = *argument++;
    if (*argument != '#') leave(2);
    for (argument++; *argument; argument++) own_number = own_number * 10 + (*argument - '0');
    long file = call(__NR_open, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0, 0);
    long size = call(__NR_lseek, file, 0, 2 /* SEEK_END */, 0, 0, 0);
    if (size <= 0) leave(3);
    long mapped = call(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped < 0 && mapped > -4096) leave(4);
    call(__NR_close, file, 0, 0, 0, 0, 0);
    journal = (struct journal *)mapped;
    uint64_t ending = 1 << (SIGTERM - 1) | 1 << (SIGINT - 1);
    call(__NR_rt_sigprocmask, SIG_BLOCK, (long)&ending, 0, 8, 0, 0);
    note(EXEC, 0);
    long signal;
    do signal = call(__NR_rt_sigtimedwait, (long)&ending, 0, 0, 8, 0, 0);
    while (signal < 0);
    note(SIGNALLED, signal);
    note(EXITING, signal);
    leave(0);
}

__attribute__((naked, noreturn)) void _start(void) {
    __asm__("xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin");
}
