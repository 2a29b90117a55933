#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/config/config.h"
#include "host/config/document.h"
#include "host/config/memory.h"
#include "host/config/rules.h"
#include "host/config/schema.h"
#include "host/control/ip.h"

static const struct slu_place nowhere;

/* What a document of a whole cluster has. */
static void free_shared(struct slu_config *config)
{
	for (uint32_t i = 0; i < config->group_count; i++) {
		free(config->groups[i].backends);
		free(config->groups[i].check.path);
		free(config->groups[i].check.host);
	}
	for (uint32_t i = 0; i < config->snat_count; i++) {
		free(config->snats[i].sources);
		free(config->snats[i].addresses.ips);
		free(config->snats[i].addresses.items);
	}
	free(config->groups);
	free(config->listeners);
	free(config->snats);
	free(config->eips);
	free(config->internal);
	config->groups = NULL;
	config->listeners = NULL;
	config->snats = config->eips = NULL;
	config->internal = NULL;
	config->group_count = config->listener_count = 0;
	config->snat_count = config->eip_count = config->internal_count = 0;
}

/* The text as a tree; its size is checked before it is looked at. */
static int read_document(const void *text, size_t bytes, struct slu_document **document, struct slu_errors *errors)
{
	if (bytes > SLU_CONFIG_MAX_BYTES) {
		slu_errors_add(errors, nowhere, "", "the document has %zu bytes, at most %u are read", bytes,
			SLU_CONFIG_MAX_BYTES);
		return -EINVAL;
	}
	return slu_document_parse(text, bytes, document, errors);
}

/* Checks what was read of a document. What has more errors than `before` is freed. */
static int check(
	const struct slu_document *document, struct slu_config **config, size_t before, struct slu_errors *errors)
{
	slu_rules_check(slu_document_root(document), *config, errors);
	if (errors->count + errors->suppressed == before)
		return 0;
	slu_errors_sort(errors);
	slu_config_free(*config);
	*config = NULL;
	return -EINVAL;
}

/* A copy by way of the canonical document, which is read back to an equal configuration. */
static int copy_node(const struct slu_config *node, struct slu_config **config, struct slu_errors *errors)
{
	char *text = slu_config_dump(node);
	int ret = -ENOMEM;

	if (text != NULL)
		ret = slu_config_parse(text, strlen(text), config, errors);
	else
		slu_errors_add(errors, nowhere, "", "out of memory");
	free(text);
	if (ret == 0)
		free_shared(*config);
	return ret;
}

/* Reads a whole document; with a node, that of a whole cluster. */
static int parse(const struct slu_config *node, const void *text, size_t bytes, struct slu_config **config,
	struct slu_errors *errors)
{
	size_t before = errors->count + errors->suppressed;
	struct slu_document *document;
	int ret;

	*config = NULL;
	ret = read_document(text, bytes, &document, errors);
	if (ret != 0)
		return ret;
	if (node == NULL) {
		*config = slu_memory_zeroed(1, sizeof(**config));
		slu_schema_read(slu_document_root(document), *config, errors);
	} else {
		ret = copy_node(node, config, errors);
		if (ret == 0)
			slu_schema_read_shared(slu_document_root(document), *config, errors);
	}
	if (ret == 0)
		ret = check(document, config, before, errors);
	slu_document_free(document);
	return ret;
}

int slu_config_parse(const void *text, size_t bytes, struct slu_config **config, struct slu_errors *errors)
{
	return parse(NULL, text, bytes, config, errors);
}

int slu_config_parse_shared(const struct slu_config *node, const void *text, size_t bytes, struct slu_config **config,
	struct slu_errors *errors)
{
	return parse(node, text, bytes, config, errors);
}

/* Reads a whole regular file of bounded size. Returns -errno. */
static int read_file(const char *path, char **text, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret = 0;
	struct stat status;
	ssize_t got;

	*text = NULL;
	*bytes = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) != 0)
		ret = -errno;
	else if (!S_ISREG(status.st_mode))
		ret = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	else if (status.st_size > (off_t)SLU_CONFIG_MAX_BYTES)
		ret = -EFBIG;
	if (ret == 0)
		*text = slu_memory_zeroed((size_t)status.st_size + 1, 1);
	while (ret == 0 && *bytes < (size_t)status.st_size) {
		got = read(fd, *text + *bytes, (size_t)status.st_size - *bytes);
		if (got < 0 && errno != EINTR)
			ret = -errno;
		if (got == 0)
			break;
		*bytes += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	if (ret != 0)
		free(*text);
	return ret;
}

int slu_config_load(const char *path, struct slu_config **config, struct slu_errors *errors)
{
	size_t bytes;
	char *text;
	int ret = read_file(path, &text, &bytes);

	*config = NULL;
	if (ret != 0) {
		slu_errors_add(errors, nowhere, "", "cannot be read: %s", strerror(-ret));
		return -EINVAL;
	}
	ret = slu_config_parse(text, bytes, config, errors);
	free(text);
	return ret;
}

static void free_cluster(struct slu_config_cluster *cluster)
{
	if (cluster == NULL)
		return;
	for (uint32_t i = 0; i < cluster->member_count; i++)
		free(cluster->members[i].locals);
	for (uint32_t i = 0; i < cluster->etcd_count; i++)
		free(cluster->etcd[i]);
	free(cluster->members);
	free(cluster->locals);
	free(cluster->etcd);
	free(cluster->etcd_prefix);
	free(cluster->key_file);
	free(cluster);
}

void slu_config_free(struct slu_config *config)
{
	if (config == NULL)
		return;
	for (uint32_t i = 0; i < config->port_count; i++) {
		free(config->ports[i].device);
		free(config->ports[i].addresses);
	}
	free_shared(config);
	for (uint32_t i = 0; i < config->eal_count; i++)
		free(config->eal[i]);
	free(config->eal);
	free_cluster(config->cluster);
	free(config->state_dir);
	free(config->api);
	free(config->ports);
	free(config->locals);
	free(config->local_items);
	free(config);
}

static bool same_prefixes(
	const struct slu_config_prefix *a, uint32_t a_count, const struct slu_config_prefix *b, uint32_t b_count)
{
	if (a_count != b_count)
		return false;
	for (uint32_t i = 0; i < a_count; i++)
		if (slu_ip_compare(&a[i].ip, &b[i].ip) != 0 || a[i].bits != b[i].bits)
			return false;
	return true;
}

static bool same_port(const struct slu_config_port *a, const struct slu_config_port *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->device, b->device) == 0 && a->index == b->index &&
	       strcmp(a->tap, b->tap) == 0 && a->queues == b->queues &&
	       same_prefixes(a->addresses, a->address_count, b->addresses, b->address_count);
}

static bool same_ports(const struct slu_config *a, const struct slu_config *b)
{
	if (a->port_count != b->port_count)
		return false;
	for (uint32_t i = 0; i < a->port_count; i++)
		if (!same_port(&a->ports[i], &b->ports[i]))
			return false;
	return true;
}

static bool same_eal(const struct slu_config *a, const struct slu_config *b)
{
	if (a->eal_count != b->eal_count)
		return false;
	for (uint32_t i = 0; i < a->eal_count; i++)
		if (strcmp(a->eal[i], b->eal[i]) != 0)
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_etcd(const struct slu_config_cluster *a, const struct slu_config_cluster *b)
{
	if (a->etcd_count != b->etcd_count || !same_text(a->etcd_prefix, b->etcd_prefix) ||
		a->lease_ttl_s != b->lease_ttl_s)
		return false;
	for (uint32_t i = 0; i < a->etcd_count; i++)
		if (strcmp(a->etcd[i], b->etcd[i]) != 0)
			return false;
	return true;
}

/* All but the members, who may come and go. */
static bool same_cluster(const struct slu_config_cluster *a, const struct slu_config_cluster *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->id == b->id && a->group == b->group && strcmp(a->interface, b->interface) == 0 &&
	       slu_ip_compare(&a->address, &b->address) == 0 && slu_ip_compare(&a->multicast, &b->multicast) == 0 &&
	       a->port == b->port && same_text(a->key_file, b->key_file) && a->extensions == b->extensions &&
	       a->revision == b->revision && a->trigger_data == b->trigger_data && a->threshold == b->threshold &&
	       a->period == b->period && a->route_table == b->route_table &&
	       same_prefixes(a->locals, a->local_count, b->locals, b->local_count) && same_etcd(a, b);
}

size_t slu_config_restart_check(const struct slu_config *now, const struct slu_config *next, struct slu_errors *errors)
{
	const struct {
		const char *key;
		bool same;
	} rows[] = {
		{"node", strcmp(now->node, next->node) == 0},
		{"state_dir", strcmp(now->state_dir, next->state_dir) == 0},
		{"api", strcmp(now->api, next->api) == 0},
		{"workers", now->workers == next->workers},
		{"sessions", now->sessions == next->sessions},
		{"eal", same_eal(now, next)},
		{"ports", same_ports(now, next)},
		{"cluster", same_cluster(now->cluster, next->cluster)},
	};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].same)
			continue;
		slu_errors_add(errors, nowhere, rows[i].key,
			"differs from what the agent started with: this setting needs a restart");
		count++;
	}
	return count;
}
