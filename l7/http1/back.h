/*
 * A connection to a server that speaks HTTP/1.1: carries one exchange at a
 * time and waits in its server's pool in between. One worker's thread only.
 */
#ifndef SLU_L7_BACK_H
#define SLU_L7_BACK_H

#include "l7/proxy/exchange.h"

/*
 * Gives the exchange a connection to `server` and queues its head: exchange->back is set. Nothing of the exchange is
 * called from here. Returns 0, or -errno when no connection can even be tried; then nothing has changed.
 */
int slu_back_start(struct slu_exchange *exchange, struct slu_server *server);

/* Closes what waits in the pool of a server that no site names any more. */
void slu_back_close_idle(struct slu_server *server);

#endif
