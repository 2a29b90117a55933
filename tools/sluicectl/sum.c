#include "tools/sluicectl/sum.h"

#include <stdint.h>
#include <string.h>

static const char *const scopes[] = {"internet", "internal"}, *const ways[] = {"in", "out"},
			 *const counts[] = {"packets", "bytes"};

/* A member of an object, made if it is missing. */
static json_t *member(json_t *object, const char *key, json_t *(*make)(void))
{
	if (json_object_get(object, key) == NULL)
		json_object_set_new(object, key, make());
	return json_object_get(object, key);
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
	const char *x = json_string_value(json_object_get(a, key)), *y = json_string_value(json_object_get(b, key));

	return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

/* The total of this name and kind, made if it is new. */
static json_t *find_total(json_t *totals, const json_t *like)
{
	json_t *total;
	size_t i;

	json_array_foreach(totals, i, total)
	{
		if (same_text(total, like, "name") && same_text(total, like, "kind"))
			return total;
	}
	total = json_object();
	json_object_set(total, "name", json_object_get(like, "name"));
	json_object_set(total, "kind", json_object_get(like, "kind"));
	json_object_set(total, "removed", json_object_get(like, "removed"));
	json_object_set(total, "since_ms", json_object_get(like, "since_ms"));
	json_array_append_new(totals, total);
	return total;
}

static bool add_total(json_t *total, const json_t *more)
{
	const json_t *since = json_object_get(more, "since_ms");

	if (!json_is_integer(since) || !json_is_boolean(json_object_get(more, "removed")))
		return false;
	/* Removed where it was removed everywhere; as old as the oldest. */
	if (json_is_false(json_object_get(more, "removed")))
		json_object_set_new(total, "removed", json_false());
	if (json_integer_value(since) < json_integer_value(json_object_get(total, "since_ms")))
		json_object_set_new(total, "since_ms", json_integer(json_integer_value(since)));
	for (size_t i = 0; i < 8; i++) {
		const char *scope = scopes[i / 4], *way = ways[i / 2 % 2], *count = counts[i % 2];
		json_t *to = member(member(total, scope, json_object), way, json_object);
		const json_t *from = json_object_get(json_object_get(json_object_get(more, scope), way), count);
		json_int_t sum;

		if (!json_is_integer(from) || json_integer_value(from) < 0 ||
			__builtin_add_overflow(
				json_integer_value(json_object_get(to, count)), json_integer_value(from), &sum))
			return false;
		json_object_set_new(to, count, json_integer(sum));
	}
	return true;
}

bool slu_sum_add(json_t *sum, const json_t *answer, const char **why)
{
	json_t *nodes = member(sum, "nodes", json_array), *totals = member(sum, "metering", json_array);
	const json_t *name = json_object_get(answer, "node"), *list = json_object_get(answer, "metering"), *other,
		     *more;
	size_t i;

	*why = "is no answer of sluicectl metering --json";
	if (!json_is_string(name) || !json_is_array(list))
		return false;
	json_array_foreach(nodes, i, other)
	{
		if (json_equal(other, name)) {
			*why = "has a node a second time";
			return false;
		}
	}
	json_array_append(nodes, (json_t *)(uintptr_t)name);
	json_array_foreach(list, i, more)
	{
		if (!json_is_object(more) || !add_total(find_total(totals, more), more))
			return false;
	}
	return true;
}
