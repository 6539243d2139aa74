/* A bare loop around posix_spawn, as the floor that a runner of processes is measured against.
 *
 * usage: spawn_loop PROGRAM COUNT IN_FLIGHT
 *
 * Runs PROGRAM with one argument, a number, COUNT times, at most IN_FLIGHT at once. It captures
 * nothing, keeps no order and prints nothing. Exits 1 if any run failed.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static int start(char *program, long number) {
    char text[32];
    snprintf(text, sizeof text, "%ld", number);
    char *arguments[] = {program, text, NULL};
    pid_t pid;
    int error = posix_spawn(&pid, program, NULL, NULL, arguments, environ);
    if (error != 0) fprintf(stderr, "spawn_loop: %s: %s\n", program, strerror(error));
    return error;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s PROGRAM COUNT IN_FLIGHT\n", argv[0]);
        return 2;
    }
    long count = atol(argv[2]), limit = atol(argv[3]), started = 0, running = 0;
    int failed = 0;
    if (limit < 1) limit = 1;
    while (started < count || running > 0) {
        while (started < count && running < limit) {
            if (start(argv[1], started + 1) != 0) return 1;
            started++;
            running++;
        }
        int status;
        if (waitpid(-1, &status, 0) < 0) {
            if (errno == EINTR) continue;
            perror("spawn_loop: waitpid");
            return 1;
        }
        running--;
        if (status != 0) failed = 1;
    }
    return failed;
}
