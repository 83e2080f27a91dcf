/* http/client_config.c - what the client of a shard may do, and has done. */
#include "http/client.h"

#include "http/head.h"
#include "http/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "http://HOST:PORT/" or the middle of it. The port is given: proxies have none that goes without
 * saying. -> 0, and out[GY__URL_ADDRESS_MAX] is where to connect to; -EINVAL. */
int gy__client_parse_proxy(const char *text, char *out)
{
    static const char scheme[] = "http://";
    char whole[sizeof(scheme) + GY__URL_ADDRESS_MAX];
    struct gy_slice start = {text, sizeof(scheme) - 1};
    struct gy__http_url url;
    size_t len = strlen(text);

    if (len > start.len && gy__http_name_is(start, scheme, start.len)) {
        text += start.len;
        len -= start.len;
    }
    if (len >= GY__URL_ADDRESS_MAX)
        return -EINVAL;
    memcpy(whole, scheme, start.len);
    memcpy(whole + start.len, text, len);
    if (gy__http_url_parse(&url, whole, start.len + len) < 0 || url.path.len > 1 ||
        url.authority.ptr[url.authority.len - 1] == ']' ||
        url.authority.ptr[url.authority.len - 1] == ':' ||
        memchr(url.authority.ptr, ':', url.authority.len) == NULL)
        return -EINVAL;
    memcpy(out, url.address, sizeof(url.address));
    return 0;
}

/* -> NULL, or what is wrong and what is allowed. */
static const char *config_wrong(const struct gy_http_client_config *config,
                                char proxy[GY__URL_ADDRESS_MAX])
{
    if (config->size != sizeof(*config))
        return "size is not sizeof the struct: GY_HTTP_CLIENT_CONFIG_INIT sets it";
    if (config->connections_max == 0 || config->host_max == 0)
        return "connections_max, host_max: at least 1";
    if (config->pipeline_max == 0)
        return "pipeline_max: at least 1";
    if (config->head_max < 64 || config->head_max > 1u << 24)
        return "head_max: allowed are 64 to 16 MiB";
    if (config->headers_max == 0)
        return "headers_max: at least 1";
    if (config->proxy != NULL && gy__client_parse_proxy(config->proxy, proxy) < 0)
        return "proxy: not http://HOST:PORT (without user and password)"; /* it may hold a password */
    return NULL;
}

int gy_http_client_config(const struct gy_http_client_config *config)
{
    char proxy[GY__URL_ADDRESS_MAX] = "";
    const char *wrong = config_wrong(config, proxy);
    struct gy__client *client;

    if (wrong != NULL) {
        gy_log("http client: %s", wrong);
        return -EINVAL;
    }
    client = gy__client();
    if (client == NULL)
        return -EAGAIN;
    client->config = *config;
    memcpy(client->proxy, proxy, sizeof(proxy));
    return 0;
}

int gy_http_client_environment(struct gy_http_client_config *config)
{
    const char *proxy = getenv("http_proxy"), *no_proxy = getenv("no_proxy");
    char address[GY__URL_ADDRESS_MAX];

    if (proxy == NULL || proxy[0] == '\0')
        return 0;
    if (gy__client_parse_proxy(proxy, address) < 0) {
        /* It may hold a password. */
        gy_log("http_proxy: not http://HOST:PORT (without user and password)");
        return -EINVAL;
    }
    config->proxy = proxy;
    config->no_proxy = no_proxy != NULL ? no_proxy : getenv("NO_PROXY");
    return 0;
}

void gy_http_client_stats(struct gy_http_client_stats *out)
{
    const struct gy__client *client = gy__http_client_here();

    memset(out, 0, sizeof(*out));
    if (client == NULL)
        return;
#define GET(which) gy__client_counted(&client->stats, GY__CLIENT_##which)
    out->requests = GET(REQUESTS);
    out->connections = GET(CONNECTIONS);
    out->reused = GET(REUSED);
    out->pipelined = GET(PIPELINED);
    out->retried = GET(RETRIED);
    out->redirected = GET(REDIRECTED);
    for (unsigned i = GY__CLIENT_FAILED_CONNECT; i < GY__CLIENT_GIVEN_UP; i++)
        out->failed += gy__client_counted(&client->stats, (enum gy__client_counter)i);
    out->open = (uint32_t)GET(OPEN);
    out->idle = (uint32_t)GET(IDLE);
    out->busy = (uint32_t)GET(BUSY);
    out->waiting = (uint32_t)GET(WAITING);
#undef GET
}
