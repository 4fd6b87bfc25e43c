/* The shared file that every child writes its events to: a header, then one record for each event.
 * The bench reads it as a file; nothing in it depends on what a supervisor says. */
#include <stdint.h>

enum kind { EXEC, SIGNALLED, EXITING, KINDS };

struct record {
    uint64_t nanoseconds; /* CLOCK_MONOTONIC */
    uint32_t kind;
    uint32_t number; /* of the process in its configuration */
    uint32_t pid;
    uint32_t signal;
};

struct journal {
    uint32_t next;          /* how many records there are */
    uint32_t room;          /* how many fit */
    uint32_t count[KINDS];  /* events of each kind so far */
    uint32_t target[KINDS]; /* whoever makes `count` reach it rings the bell */
    uint32_t unused[8];
    struct record records[];
};
