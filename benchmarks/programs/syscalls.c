/* The price of a cheap system call: nanoseconds of one getppid(2), the least of five turns.
   usage: syscalls TIMES [FILTER], a file of struct sock_filter that is loaded first */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct sock_filter program[4096];

static int load(const char *path) {
    int file = open(path, O_RDONLY);
    long bytes = file < 0 ? -1 : read(file, program, sizeof program);
    if (bytes <= 0) return -1;
    struct sock_fprog filter = {bytes / sizeof program[0], program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

int main(int argc, char **argv) {
    if (argc < 2 || (argc > 2 && load(argv[2]))) return 2;
    long times = atol(argv[1]);
    double least = 1e18;
    for (int turn = 0; turn < 5; turn++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < times; i++) syscall(SYS_getppid);
        clock_gettime(CLOCK_MONOTONIC, &b);
        double each = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / times;
        if (each < least) least = each;
    }
    printf("%.2f\n", least);
    return 0;
}
