# Caddy: the webhook, the dashboard, one site for all previews, and 404 for the rest.
{ config, lib, ... }:
let
  inherit (config.berth) domain webhookHost dashboardHost;
  cfg = config.berth.ingress;
  operator = config.berth.previewOperator;
  upstream = import ../../host-port.nix operator.listen operator.port;
  logs = config.services.caddy.logDir;
  files = cfg.certificateFiles;

  behindCloudflare = lib.optionalString (cfg.tls.kind == "cloudflare-origin") ''
    trusted_proxies static ${lib.concatStringsSep " " cfg.trustedProxies}
    client_ip_headers Cf-Connecting-Ip
  '';

  # Only these two paths of the web exist outside (threat model B1).
  webhook = ''
    https://${webhookHost} {
      import control_tls
      log {
        output file ${logs}/webhook.log {
          roll_size 50MiB
          roll_keep 4
        }
        format json
      }
      @delivery {
        method POST
        path /webhook/github
      }
      handle @delivery {
        request_body {
          max_size 26MB
        }
        reverse_proxy ${upstream}
      }
      @health {
        method GET
        path /health
      }
      handle @health {
        reverse_proxy ${upstream}
      }
      handle {
        respond 404
      }
    }
  '';

  dashboard = lib.optionalString (dashboardHost != null) ''
    https://${dashboardHost} {
      import control_tls
      @inside path /metrics /ready /webhook/* /internal/*
      handle @inside {
        respond 404
      }
      handle {
        reverse_proxy ${upstream} {
          flush_interval -1
        }
      }
    }
  '';

  # previews.site imports cloudflare_tls, wherever the certificate comes from.
  previews = ''
    (cloudflare_tls) {
      tls ${files.previews.certificate} ${files.previews.key}
      header X-Robots-Tag noindex
    }
    (control_tls) {
      tls ${files.control.certificate} ${files.control.key}
      header Strict-Transport-Security max-age=31536000
    }
    https://*.${domain} {
      import cloudflare_tls
      import /etc/caddy/previews/*.site
      respond 404
    }
    # Where a preview does not answer: the operator's page about it, or this one while the operator is away.
    http:// {
      bind unix//run/caddy/status.sock
      reverse_proxy unix//etc/caddy/previews/status.sock
      handle_errors {
        header Content-Type text/html
        header Cache-Control no-store
        header Retry-After 3
        respond "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=3><title>Not up yet</title><p>This preview does not answer right now. It may be coming up, or its app may be restarting. This page looks again by itself." 503
      }
    }
    http:// {
      respond 404
    }
  '';
in
{
  config = lib.mkIf (config.berth.features.ingress && domain != null && webhookHost != null) {
    services.caddy = {
      enable = true;
      enableReload = true;
      openFirewall = false; # the firewall module says what is open
      globalConfig = ''
        admin unix//run/caddy/admin.sock
        # A reload gives requests in flight this long to end.
        grace_period 30s
        servers {
          protocols h1 h2
          ${behindCloudflare}
        }
      '';
      extraConfig = previews + webhook + dashboard;
    };

    systemd.tmpfiles.settings."10-berth-routes"."/etc/caddy/previews".d = {
      # The operator writes routes, Caddy reads them.
      user = operator.user;
      group = config.services.caddy.group;
      mode = "2750";
    };

    systemd.services.caddy.serviceConfig = removeAttrs (import ../../unit-sandbox.nix) [ "RestrictAddressFamilies" ] // {
      RuntimeDirectory = "caddy";
      RuntimeDirectoryMode = "0750";
      # Ports 80 and 443, and nothing else that root may.
      AmbientCapabilities = lib.mkForce "CAP_NET_BIND_SERVICE";
      CapabilityBoundingSet = lib.mkForce "CAP_NET_BIND_SERVICE";
      ProtectSystem = lib.mkForce "strict";
      RestrictAddressFamilies = [
        "AF_INET"
        "AF_INET6"
        "AF_UNIX"
        # Go reads the host's interfaces by netlink.
        "AF_NETLINK"
      ];
      # 5,000 previews with a few connections each, twice (visitor and upstream).
      LimitNOFILE = 1048576;
      UMask = "0027";
    };
  };
}
