/* The limit: one clone with every namespace, and exec; nothing else. Prints microseconds for each of
   ROUNDS launches. usage: limit ROUNDS plain|namespaces|vfork MEGABYTES PROGRAM */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static char stack[65536] __attribute__((aligned(16)));

static int become(void *path) {
    char *words[] = {path, NULL}, *environment[] = {NULL};
    execve(path, words, environment);
    _exit(127);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    long rounds = atol(argv[1]), megabytes = atol(argv[3]);
    int spaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                      CLONE_NEWUSER | CLONE_NEWCGROUP;
    int flags = strcmp(argv[2], "plain") ? spaces : 0;
    if (!strcmp(argv[2], "vfork")) flags |= CLONE_VM | CLONE_VFORK;
    char *memory = malloc((size_t)megabytes << 20);
    if (megabytes && !memory) return 3;
    memset(memory, 1, (size_t)megabytes << 20);
    for (long round = 0; round < rounds; round++) {
        double began = now();
        int status, pid = clone(become, stack + sizeof stack, flags | SIGCHLD, argv[4]);
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status) return 4;
        printf("%.1f\n", now() - began);
    }
    return 0;
}
