/*
 * sluice-nic: the card, its device on a UNIX socket, its wires, and the loop
 * that gives each of them its turn. One thread.
 */
#ifndef SLU_SERVER_H
#define SLU_SERVER_H

#include "options.h"

struct slu_server;

/*
 * Builds the card, attaches the wires, listens. Faults are named on stderr.
 * Blocks SIGINT, SIGTERM and SIGUSR1, which run() takes.
 *
 * Returns 0 and the server, or -errno.
 */
int slu_server_create(const struct slu_options *options, struct slu_server **server);

/* Serves until SIGINT or SIGTERM. Returns 0, or -errno if it cannot go on. */
int slu_server_run(struct slu_server *s);

void slu_server_destroy(struct slu_server *s);

#endif
