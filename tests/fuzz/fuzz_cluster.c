/*
 * What a node reads of others in its cluster. Input: which of it, then its bytes: the
 * status of a heartbeat, the list of a generation, a registration, a file of members.
 * What is taken must be written again without loss.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/cluster/catalog.h"
#include "host/cluster/etcd_value.h"
#include "host/cluster/node_status.h"
#include "host/cluster/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_status(const uint8_t *data, size_t bytes)
{
	struct slu_node_count counts[SLU_NODE_STATUS_COUNTS], again[SLU_NODE_STATUS_COUNTS];
	uint8_t written[SLU_NODE_STATUS_MAX_BYTES];
	struct slu_node_status status, other;
	uint32_t next = 0, size;
	int count = slu_node_status_decode(data, (uint32_t)bytes, &status, counts);

	if (count < 0)
		return;
	size = slu_node_status_encode(&status, counts, (uint32_t)count, &next, written);
	assert(size == bytes);
	assert(slu_node_status_decode(written, size, &other, again) == count);
	for (int i = 0; i < count; i++)
		assert(counts[i].key == again[i].key && counts[i].count == again[i].count);
	assert(status.generation == other.generation && status.hash == other.hash);
}

static void read_list(const char *text, size_t bytes)
{
	struct slu_catalog *catalog = slu_catalog_create();
	json_t *value = json_stringn(text, bytes);
	int64_t number;
	size_t count;

	if (slu_catalog_want(catalog, text, bytes) == 0)
		assert(slu_catalog_number(catalog) > 0 && slu_catalog_missing(catalog) <= SLU_CATALOG_MAX_PARTS);
	free(slu_etcd_value_read_bytes(value, &count));
	if (value != NULL)
		slu_etcd_value_read_number(value, &number);
	json_decref(value);
	slu_catalog_free(catalog);
}

/* A file of members, and the same as a registration of node 2. */
static void read_members(const char *text, size_t bytes)
{
	static const struct slu_config_member self = {.id = 1, .name = "n1", .address = {4, {198, 18, 9, 1}}};
	struct slu_registry *registry = slu_registry_create(&self), *other = slu_registry_create(&self);
	const struct slu_config_member *members;
	char *before, *after;

	slu_registry_put(registry, "2", text, bytes);
	slu_registry_load(registry, text, bytes, 0);
	assert(slu_registry_members(registry, 0, &members) <= SLU_CONFIG_MAX_MEMBERS && members[0].id == 1);
	before = slu_registry_dump(registry);
	slu_registry_load(other, before, strlen(before), 0);
	after = slu_registry_dump(other);
	assert(strcmp(before, after) == 0);
	free(before);
	free(after);
	slu_registry_free(registry);
	slu_registry_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < 1 || bytes > UINT16_MAX)
		return 0;
	if (data[0] % 3 == 0)
		read_status(data + 1, bytes - 1);
	else if (data[0] % 3 == 1)
		read_list((const char *)data + 1, bytes - 1);
	else
		read_members((const char *)data + 1, bytes - 1);
	return 0;
}
