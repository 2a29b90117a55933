#include <assert.h>

#include "host/control/api_out.h"

void slu_api_out_begin(struct slu_api_out *out, json_t *root)
{
	out->open[0] = root;
	out->depth = 1;
}

static void put(struct slu_api_out *out, const char *name, json_t *value)
{
	json_t *open = out->open[out->depth - 1];

	assert((name != NULL) == json_is_object(open));
	if (name != NULL)
		json_object_set_new(open, name, value);
	else
		json_array_append_new(open, value);
}

void slu_api_out_number(struct slu_api_out *out, const char *name, uint64_t value)
{
	/* JSON integers of jansson are signed; counters beyond 2^63 do not occur. */
	put(out, name, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

void slu_api_out_real(struct slu_api_out *out, const char *name, double value)
{
	json_t *real = json_real(value);

	put(out, name, real != NULL ? real : json_null()); /* NaN and infinity have no JSON */
}

void slu_api_out_text(struct slu_api_out *out, const char *name, const char *value)
{
	json_t *text = value != NULL ? json_string(value) : NULL;

	put(out, name, text != NULL ? text : json_null());
}

void slu_api_out_bool(struct slu_api_out *out, const char *name, bool value)
{
	put(out, name, json_boolean(value));
}

static void open_value(struct slu_api_out *out, const char *name, json_t *value)
{
	assert(out->depth < SLU_API_OUT_DEPTH);
	put(out, name, value);
	out->open[out->depth++] = value;
}

void slu_api_out_open_object(struct slu_api_out *out, const char *name)
{
	open_value(out, name, json_object());
}

void slu_api_out_open_list(struct slu_api_out *out, const char *name)
{
	open_value(out, name, json_array());
}

void slu_api_out_close(struct slu_api_out *out)
{
	assert(out->depth > 1);
	out->depth--;
}
