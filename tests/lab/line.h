/* A process of the laboratory that is told things while it runs: a UNIX socket, a line in, an answer out. */
#ifndef SLU_TESTS_LAB_LINE_H
#define SLU_TESTS_LAB_LINE_H

#include <stdio.h>

/* Listens at path, which it replaces. A descriptor or -errno. */
int lab_line_listen(const char *path);

/* Serves one who asks at the descriptor of listen(): obey() writes the answer. An answer that begins with "error:" is
 * one. */
void lab_line_serve(int fd, void (*obey)(char *line, FILE *out));

/* Says words[0..count-1] as a line and prints the answer. Returns 0; 1: it was refused, or nobody is there. */
int lab_line_tell(const char *path, char **words, int count);

#endif
