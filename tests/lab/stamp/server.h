/* The far end: answers every hello with a stream of its own, every request with its identity, and checks every byte. */
#ifndef SLU_TESTS_LAB_STAMP_SERVER_H
#define SLU_TESTS_LAB_STAMP_SERVER_H

#include <stdint.h>
#include <stdio.h>

/* name: identity told to clients, not 0. Both protocols on the port. Returns 0 or -errno. */
int stamp_server_open(uint32_t name, uint16_t port);

/* A line of text; returns the number of connections and datagrams with a wrong byte. */
uint64_t stamp_server_report(FILE *out);

#endif
