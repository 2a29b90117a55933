#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"
#include "host/config/schema.h"
#include "host/control/difference.h"
#include "host/control/ip.h"

/* A named thing of a configuration, so that lists can be compared whatever their order. */
struct named {
	const char *name;
	const void *thing;
};

static void tell(struct slu_difference *difference, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct slu_difference *difference, const char *format, ...)
{
	va_list arguments;

	if (difference->count == SLU_DIFFERENCE_MAX) {
		difference->more++;
		return;
	}
	if ((difference->count & (difference->count - 1)) == 0)
		difference->lines = slu_memory_resize(
			difference->lines, difference->count ? 2 * difference->count : 1, sizeof(*difference->lines));
	va_start(arguments, format);
	difference->lines[difference->count++] = slu_memory_vformat(format, arguments);
	va_end(arguments);
}

static int compare_named(const void *left, const void *right)
{
	return strcmp(((const struct named *)left)->name, ((const struct named *)right)->name);
}

static struct named *sorted(const void *things, uint32_t count, size_t bytes, size_t name_offset)
{
	struct named *named = slu_memory_zeroed(count, sizeof(*named));

	for (uint32_t i = 0; i < count; i++) {
		const char *thing = (const char *)things + i * bytes;

		named[i] = (struct named){thing + name_offset, thing};
	}
	qsort(named, count, sizeof(*named), compare_named);
	return named;
}

/* Walks two sorted lists side by side; one side is NULL where only the other has the name. */
typedef void pair_fn(struct slu_difference *difference, const char *scope, const void *before, const void *after);

static void pairs(struct slu_difference *difference, const char *scope, const struct named *before,
	uint32_t before_count, const struct named *after, uint32_t after_count, pair_fn *fn)
{
	uint32_t i = 0, j = 0;

	while (i < before_count || j < after_count) {
		int order = i == before_count ? 1 : j == after_count ? -1 : strcmp(before[i].name, after[j].name);

		fn(difference, scope, order <= 0 ? before[i].thing : NULL, order >= 0 ? after[j].thing : NULL);
		i += order <= 0;
		j += order >= 0;
	}
}

static void tell_number(
	struct slu_difference *difference, const char *what, const char *field, uint64_t before, uint64_t after)
{
	if (before != after)
		tell(difference, "%s: %s %llu -> %llu", what, field, (unsigned long long)before,
			(unsigned long long)after);
}

static void tell_text(
	struct slu_difference *difference, const char *what, const char *field, const char *before, const char *after)
{
	before = before != NULL ? before : "default";
	after = after != NULL ? after : "default";
	if (strcmp(before, after) != 0)
		tell(difference, "%s: %s %s -> %s", what, field, before, after);
}

static void tell_address(
	struct slu_difference *difference, const char *what, const struct slu_ip *before, const struct slu_ip *after)
{
	char a[SLU_IP_TEXT_BYTES], b[SLU_IP_TEXT_BYTES];

	tell_text(difference, what, "address", slu_ip_format(before, a), slu_ip_format(after, b));
}

static void compare_backends(struct slu_difference *difference, const char *scope, const void *left, const void *right)
{
	const struct slu_config_backend *before = left, *after = right;
	char what[2 * SLU_NAME_BYTES + 16], address[SLU_IP_TEXT_BYTES];

	snprintf(what, sizeof(what), "backend %s/%s", scope, before != NULL ? before->name : after->name);
	if (after == NULL) {
		tell(difference, "%s: removed", what);
	} else if (before == NULL) {
		tell(difference, "%s: added, %s port %u, weight %u", what, slu_ip_format(&after->address, address),
			after->port, after->weight);
	} else {
		tell_address(difference, what, &before->address, &after->address);
		tell_number(difference, what, "port", before->port, after->port);
		tell_number(difference, what, "weight", before->weight, after->weight);
	}
}

static void compare_checks(struct slu_difference *difference, const char *what, const struct slu_config_check *before,
	const struct slu_config_check *after)
{
	tell_text(difference, what, "check.type", slu_schema_checks[before->type], slu_schema_checks[after->type]);
	tell_number(difference, what, "check.port", before->port, after->port);
	tell_number(difference, what, "check.interval_ms", before->interval_ms, after->interval_ms);
	tell_number(difference, what, "check.timeout_ms", before->timeout_ms, after->timeout_ms);
	tell_number(difference, what, "check.rise", before->rise, after->rise);
	tell_number(difference, what, "check.fall", before->fall, after->fall);
	tell_text(difference, what, "check.path", before->path, after->path);
	tell_text(difference, what, "check.host", before->host, after->host);
	if (before->status_first != after->status_first || before->status_last != after->status_last)
		tell(difference, "%s: check.status %u-%u -> %u-%u", what, before->status_first, before->status_last,
			after->status_first, after->status_last);
	if (before->send_bytes != after->send_bytes || memcmp(before->send, after->send, before->send_bytes) != 0)
		tell(difference, "%s: check.send changed", what);
	if (before->expect_bytes != after->expect_bytes ||
		memcmp(before->expect, after->expect, before->expect_bytes) != 0)
		tell(difference, "%s: check.expect changed", what);
}

static void compare_groups(struct slu_difference *difference, const char *scope, const void *left, const void *right)
{
	const struct slu_config_group *before = left, *after = right;
	struct named *old = NULL, *new = NULL;
	uint32_t old_count = before != NULL ? before->backend_count : 0,
		 new_count = after != NULL ? after->backend_count : 0;
	const char *name = (before != NULL ? before : after)->name;
	char what[SLU_NAME_BYTES + 16];

	(void)scope;
	snprintf(what, sizeof(what), "group %s", name);
	if (after == NULL)
		tell(difference, "%s: removed", what);
	else if (before == NULL)
		tell(difference, "%s: added, %s", what, slu_schema_schedulers[after->scheduler]);
	if (before != NULL && after != NULL) {
		tell_text(difference, what, "scheduler", slu_schema_schedulers[before->scheduler],
			slu_schema_schedulers[after->scheduler]);
		compare_checks(difference, what, &before->check, &after->check);
	}
	if (before != NULL)
		old = sorted(before->backends, old_count, sizeof(*before->backends),
			offsetof(struct slu_config_backend, name));
	if (after != NULL)
		new = sorted(after->backends, new_count, sizeof(*after->backends),
			offsetof(struct slu_config_backend, name));
	pairs(difference, name, old, old_count, new, new_count, compare_backends);
	free(old);
	free(new);
}

static void compare_offload(struct slu_difference *difference, const char *what,
	const struct slu_config_offload *before, const struct slu_config_offload *after)
{
	tell_text(difference, what, "offload.enabled", before->enabled ? "true" : "false",
		after->enabled ? "true" : "false");
	tell_number(difference, what, "offload.threshold_packets", before->threshold_packets, after->threshold_packets);
}

static void compare_timeouts(struct slu_difference *difference, const char *what, const struct slu_timeouts *before,
	const struct slu_timeouts *after)
{
	tell_number(difference, what, "timeouts.syn_recv_s", before->syn_recv, after->syn_recv);
	tell_number(difference, what, "timeouts.syn_sent_s", before->syn_sent, after->syn_sent);
	tell_number(difference, what, "timeouts.established_s", before->established, after->established);
	tell_number(difference, what, "timeouts.fin_wait_s", before->fin_wait, after->fin_wait);
	tell_number(difference, what, "timeouts.time_wait_s", before->time_wait, after->time_wait);
	tell_number(difference, what, "timeouts.close_s", before->close, after->close);
	tell_number(difference, what, "timeouts.close_wait_s", before->close_wait, after->close_wait);
	tell_number(difference, what, "timeouts.last_ack_s", before->last_ack, after->last_ack);
	tell_number(difference, what, "timeouts.udp_s", before->udp, after->udp);
}

static void compare_listeners(struct slu_difference *difference, const char *scope, const void *left, const void *right)
{
	const struct slu_config_listener *before = left, *after = right;
	char what[SLU_NAME_BYTES + 16], address[SLU_IP_TEXT_BYTES];

	(void)scope;
	snprintf(what, sizeof(what), "listener %s", before != NULL ? before->name : after->name);
	if (after == NULL) {
		tell(difference, "%s: removed", what);
		return;
	}
	if (before == NULL) {
		tell(difference, "%s: added, %s %s ports %u-%u, group %s", what, after->protocol == 6 ? "tcp" : "udp",
			slu_ip_format(&after->address, address), after->port_first, after->port_last, after->group);
		return;
	}
	tell_address(difference, what, &before->address, &after->address);
	tell_text(difference, what, "protocol", before->protocol == 6 ? "tcp" : "udp",
		after->protocol == 6 ? "tcp" : "udp");
	if (before->port_first != after->port_first || before->port_last != after->port_last)
		tell(difference, "%s: ports %u-%u -> %u-%u", what, before->port_first, before->port_last,
			after->port_first, after->port_last);
	tell_text(difference, what, "mode", slu_schema_modes[before->mode], slu_schema_modes[after->mode]);
	tell_text(difference, what, "client_address", slu_schema_client_addresses[before->client_address],
		slu_schema_client_addresses[after->client_address]);
	tell_number(difference, what, "vpc", before->vpc, after->vpc);
	tell_text(difference, what, "group", before->group, after->group);
	compare_offload(difference, what, &before->offload, &after->offload);
	tell_number(difference, what, "max_sessions", before->max_sessions, after->max_sessions);
	compare_timeouts(difference, what, &before->timeouts, &after->timeouts);
}

static void compare_lists(
	struct slu_difference *difference, const char *what, const char *field, const char *before, const char *after)
{
	if (strcmp(before, after) != 0)
		tell(difference, "%s: %s %s -> %s", what, field, before[0] ? before : "none",
			after[0] ? after : "none");
}

/* The list as one text; freed by the caller. */
static char *list_prefixes(const struct slu_config_prefix *prefixes, uint32_t count)
{
	char *text = slu_memory_copy(""), address[SLU_IP_TEXT_BYTES];

	for (uint32_t i = 0; i < count; i++) {
		char *longer = slu_memory_format(
			"%s%s%s/%u", text, i ? "," : "", slu_ip_format(&prefixes[i].ip, address), prefixes[i].bits);

		free(text);
		text = longer;
	}
	return text;
}

static char *list_addresses(const struct slu_config_addresses *addresses)
{
	char *text = slu_memory_copy(""), address[SLU_IP_TEXT_BYTES];

	for (uint32_t i = 0; i < addresses->count; i++) {
		char *longer =
			slu_memory_format("%s%s%s", text, i ? "," : "", slu_ip_format(&addresses->ips[i], address));

		free(text);
		text = longer;
	}
	return text;
}

/* What SNAT and EIP share. */
static void compare_services(struct slu_difference *difference, const char *what,
	const struct slu_config_outbound *before, const struct slu_config_outbound *after)
{
	tell_number(difference, what, "vpc", before->vpc, after->vpc);
	compare_offload(difference, what, &before->offload, &after->offload);
	compare_timeouts(difference, what, &before->timeouts, &after->timeouts);
}

static void compare_snats(struct slu_difference *difference, const char *scope, const void *left, const void *right)
{
	const struct slu_config_outbound *before = left, *after = right, *any = before != NULL ? before : after;
	char what[SLU_NAME_BYTES + 16], *old[2], *new[2];

	(void)scope;
	snprintf(what, sizeof(what), "snat %s", any->name);
	old[0] = list_prefixes(any->sources, any->source_count);
	old[1] = list_addresses(&any->addresses);
	if (after == NULL) {
		tell(difference, "%s: removed", what);
	} else if (before == NULL) {
		tell(difference, "%s: added, sources %s, addresses %s, ports %u-%u", what, old[0], old[1],
			after->port_first, after->port_last);
	} else {
		new[0] = list_prefixes(after->sources, after->source_count);
		new[1] = list_addresses(&after->addresses);
		compare_lists(difference, what, "sources", old[0], new[0]);
		compare_lists(difference, what, "addresses", old[1], new[1]);
		if (before->port_first != after->port_first || before->port_last != after->port_last)
			tell(difference, "%s: ports %u-%u -> %u-%u", what, before->port_first, before->port_last,
				after->port_first, after->port_last);
		compare_services(difference, what, before, after);
		free(new[0]);
		free(new[1]);
	}
	free(old[0]);
	free(old[1]);
}

static void compare_eips(struct slu_difference *difference, const char *scope, const void *left, const void *right)
{
	const struct slu_config_outbound *before = left, *after = right;
	char what[SLU_NAME_BYTES + 16], a[SLU_IP_TEXT_BYTES], b[SLU_IP_TEXT_BYTES];

	(void)scope;
	snprintf(what, sizeof(what), "eip %s", before != NULL ? before->name : after->name);
	if (after == NULL) {
		tell(difference, "%s: removed", what);
	} else if (before == NULL) {
		tell(difference, "%s: added, %s for %s", what, slu_ip_format(&after->public_ip, a),
			slu_ip_format(&after->private_ip, b));
	} else {
		tell_text(difference, what, "public", slu_ip_format(&before->public_ip, a),
			slu_ip_format(&after->public_ip, b));
		tell_text(difference, what, "private", slu_ip_format(&before->private_ip, a),
			slu_ip_format(&after->private_ip, b));
		compare_services(difference, what, before, after);
	}
}

static int compare_ips(const void *left, const void *right)
{
	return slu_ip_compare(left, right);
}

static struct slu_ip *sorted_locals(const struct slu_config *config)
{
	struct slu_ip *locals = slu_memory_zeroed(config->local_count, sizeof(*locals));

	if (config->local_count > 0)
		memcpy(locals, config->locals, config->local_count * sizeof(*locals));
	qsort(locals, config->local_count, sizeof(*locals), compare_ips);
	return locals;
}

static void compare_locals(
	struct slu_difference *difference, const struct slu_config *before, const struct slu_config *after)
{
	struct slu_ip *old = sorted_locals(before), *new = sorted_locals(after);
	uint32_t i = 0, j = 0;
	char text[SLU_IP_TEXT_BYTES];

	while (i < before->local_count || j < after->local_count) {
		int order = i == before->local_count  ? 1
			    : j == after->local_count ? -1
						      : slu_ip_compare(&old[i], &new[j]);

		if (order != 0)
			tell(difference, "local address %s: %s", slu_ip_format(order < 0 ? &old[i] : &new[j], text),
				order < 0 ? "removed" : "added");
		i += order <= 0;
		j += order >= 0;
	}
	free(old);
	free(new);
}

static void compare_metering(
	struct slu_difference *difference, const struct slu_config *before, const struct slu_config *after)
{
	char *old = list_prefixes(before->internal, before->internal_count);
	char *new = list_prefixes(after->internal, after->internal_count);

	compare_lists(difference, "metering", "internal", old, new);
	free(old);
	free(new);
}

static void compare_outbound(struct slu_difference *difference, const struct slu_config_outbound *before,
	uint32_t before_count, const struct slu_config_outbound *after, uint32_t after_count, pair_fn *fn)
{
	size_t name = offsetof(struct slu_config_outbound, name);
	struct named *old = sorted(before, before_count, sizeof(*before), name);
	struct named *new = sorted(after, after_count, sizeof(*after), name);

	pairs(difference, "", old, before_count, new, after_count, fn);
	free(old);
	free(new);
}

void slu_difference_report(
	const struct slu_config *before, const struct slu_config *after, struct slu_difference *difference)
{
	struct named *old, *new;

	*difference = (struct slu_difference){0};
	compare_locals(difference, before, after);
	old = sorted(
		before->groups, before->group_count, sizeof(*before->groups), offsetof(struct slu_config_group, name));
	new = sorted(
		after->groups, after->group_count, sizeof(*after->groups), offsetof(struct slu_config_group, name));
	pairs(difference, "", old, before->group_count, new, after->group_count, compare_groups);
	free(old);
	free(new);
	old = sorted(before->listeners, before->listener_count, sizeof(*before->listeners),
		offsetof(struct slu_config_listener, name));
	new = sorted(after->listeners, after->listener_count, sizeof(*after->listeners),
		offsetof(struct slu_config_listener, name));
	pairs(difference, "", old, before->listener_count, new, after->listener_count, compare_listeners);
	free(old);
	free(new);
	compare_outbound(difference, before->snats, before->snat_count, after->snats, after->snat_count, compare_snats);
	compare_outbound(difference, before->eips, before->eip_count, after->eips, after->eip_count, compare_eips);
	compare_metering(difference, before, after);
}

void slu_difference_clear(struct slu_difference *difference)
{
	for (size_t i = 0; i < difference->count; i++)
		free(difference->lines[i]);
	free(difference->lines);
	*difference = (struct slu_difference){0};
}
