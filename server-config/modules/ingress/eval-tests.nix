{ lib, ... }:
let
  on = {
    services.openssh.enable = true;
    berth = {
      features.ingress = true;
      domain = "previews.example.net";
      webhookHost = "hooks.example.com";
      dashboardHost = "berth.example.com";
    };
  };
  byDns = {
    imports = [ on ];
    berth.ingress.tls.dns = {
      provider = "hetzner";
      credentialsFile = "/var/secrets/dns.env";
      email = "ops@example.com";
    };
  };
  byCloudflare = {
    imports = [ on ];
    berth.ingress.tls = {
      kind = "cloudflare-origin";
      previews = {
        certificate = "/var/secrets/previews.pem";
        key = "/var/secrets/previews-key.pem";
      };
      control = {
        certificate = "/var/secrets/control.pem";
        key = "/var/secrets/control-key.pem";
      };
    };
  };
  caddyfile = config: config.services.caddy.globalConfig + config.services.caddy.extraConfig;
in
{
  "certificates by ACME through DNS" = {
    modules = [ byDns ];
    shows = config: {
      caddyfile = {
        actual = caddyfile config;
        contains = [
          "admin unix//run/caddy/admin.sock"
          "tls /var/lib/acme/berth-previews/fullchain.pem /var/lib/acme/berth-previews/key.pem"
          "https://hooks.example.com {"
          "https://berth.example.com {"
          "import /etc/caddy/previews/*.site"
          "https://*.previews.example.net {"
        ];
        lacks = "trusted_proxies";
      };
      wildcard = {
        actual = config.security.acme.certs.berth-previews.domain;
        equals = "*.previews.example.net";
      };
      "only the dashboard beside the webhook" = {
        actual = config.security.acme.certs.berth-control.extraDomainNames;
        equals = [ "berth.example.com" ];
      };
      ports = {
        actual = lib.sort lib.lessThan (lib.unique config.networking.firewall.allowedTCPPorts);
        equals = [
          22
          80
          443
        ];
      };
    };
  };

  "certificates of Cloudflare, as credentials" = {
    modules = [ byCloudflare ];
    shows = config: {
      caddyfile = {
        actual = caddyfile config;
        contains = [
          "tls /run/credentials/caddy.service/previews-certificate /run/credentials/caddy.service/previews-key"
          "trusted_proxies static 173.245.48.0/20"
          "client_ip_headers Cf-Connecting-Ip"
        ];
        lacks = "/var/secrets";
      };
      unit = {
        actual = config.systemd.units."caddy.service".text;
        contains = [
          "LoadCredential=previews-key:/var/secrets/previews-key.pem"
          "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
          "ProtectSystem=strict"
        ];
      };
    };
  };

  "without a dashboard there is no site for it" = {
    modules = [
      byDns
      { berth.dashboardHost = lib.mkForce null; }
    ];
    shows = config: {
      caddyfile = {
        actual = caddyfile config;
        lacks = "/metrics";
      };
    };
  };

  "the webhook's jail reads the webhook's log" = {
    modules = [
      byDns
      { berth.features.hardening = true; }
    ];
    shows = config: {
      jail = {
        actual = config.services.fail2ban.jails.berth-webhook.settings.logpath;
        equals = "/var/log/caddy/webhook.log";
      };
      filter = {
        actual = config.environment.etc."fail2ban/filter.d/berth-webhook.conf".text;
        contains = ''"uri":"/webhook/github"'';
      };
    };
  };

  "no domain" = {
    modules = [ { berth.features.ingress = true; } ];
    refused = "berth.domain and berth.webhookHost must be set";
  };
  "previews under the dashboard's domain" = {
    modules = [
      byDns
      { berth.domain = lib.mkForce "previews.example.com"; }
    ];
    refused = "shares a registrable domain";
  };
  "Cloudflare without files" = {
    modules = [
      on
      { berth.ingress.tls.kind = "cloudflare-origin"; }
    ];
    refused = "give the files in berth.ingress.tls.previews";
  };
  "ACME without a provider" = {
    modules = [ on ];
    refused = "give berth.ingress.tls.dns.provider";
  };
  "the admin interface on TCP" = {
    modules = [
      byDns
      { services.caddy.globalConfig = lib.mkForce "admin 127.0.0.1:2019"; }
    ];
    refused = "no longer puts Caddy's admin interface on a unix socket";
  };
  "a domain with a brace" = {
    modules = [
      byDns
      { berth.domain = lib.mkForce "a.b {"; }
    ];
    throws = "berth.domain";
  };
  "a key in the Nix store" = {
    modules = [
      byCloudflare
      { berth.ingress.tls.previews.key = lib.mkForce "/nix/store/00000000000000000000000000000000-key.pem"; }
    ];
    throws = "berth.ingress.tls.previews.key";
  };
}
