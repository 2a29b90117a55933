#include <stdlib.h>

#include "l7/upstream/server.h"

struct slu_server *slu_server_new(const struct slu_site_address *address)
{
	struct slu_server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		abort();
	server->address = *address;
	server->refs = 1;
	return server;
}

void slu_server_drop(struct slu_server *server)
{
	if (server != NULL && --server->refs == 0)
		free(server);
}
