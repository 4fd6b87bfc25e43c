/* The server that the bench lets navigator replace: `server RELEASE [PORT]`. It answers each connection with its release and a
 * line break, on the socket of `LISTEN_FDS` or, with a port, on one of its own. It reports `READY=1`, and on TERM it finishes
 * the connections that it has accepted. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static volatile sig_atomic_t is_over;

static void end(int signal) {
    (void)signal;
    is_over = 1;
}

static int own_socket(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) exit(2);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) exit(2);
    return listener;
}

static void report_ready(void) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof address.sun_path) return;
    strcpy(address.sun_path, path);
    int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sendto(notify, "READY=1", 7, 0, (struct sockaddr *)&address, sizeof address) != 7) exit(3);
    close(notify);
}

int main(int count, char **words) {
    if (count < 2) return 1;
    char answer[32];
    int length = snprintf(answer, sizeof answer, "%s\n", words[1]);
    int listener = 3;
    if (count > 2) listener = own_socket(atoi(words[2]));
    else if (!getenv("LISTEN_FDS")) return 1;
    fcntl(listener, F_SETFL, O_NONBLOCK);

    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = end}, NULL);
    report_ready();
    while (!is_over) {
        struct pollfd waiting = {.fd = listener, .events = POLLIN};
        // TERM comes here alone, so it never finds a connection that is accepted and not answered.
        if (ppoll(&waiting, 1, NULL, &none) < 0) continue;
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) continue;
        if (write(client, answer, length) != length) return 4;
        close(client);
    }
    return 0;
}
