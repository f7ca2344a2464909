# Where Caddy finds certificates: files of yours as systemd credentials, or what ACME made.
{ config, lib, ... }:
let
  inherit (config.berth) domain webhookHost dashboardHost;
  inherit (config.berth.ingress) tls;
  on = config.berth.features.ingress && domain != null && webhookHost != null;

  byDns = {
    dnsProvider = tls.dns.provider;
    environmentFile = tls.dns.credentialsFile;
    group = config.services.caddy.group;
    reloadServices = [ "caddy.service" ];
  };
  acmeUnits = [
    "acme-berth-previews.service"
    "acme-berth-control.service"
  ];
in
{
  options.berth.ingress.certificateFiles = lib.mkOption {
    type = lib.types.attrsOf (lib.types.attrsOf lib.types.str);
    internal = true;
    readOnly = true;
    default =
      lib.genAttrs
        [
          "previews"
          "control"
        ]
        (
          name:
          if tls.kind == "acme-dns" then
            {
              certificate = "/var/lib/acme/berth-${name}/fullchain.pem";
              key = "/var/lib/acme/berth-${name}/key.pem";
            }
          else
            {
              certificate = "/run/credentials/caddy.service/${name}-certificate";
              key = "/run/credentials/caddy.service/${name}-key";
            }
        );
    description = "What the Caddyfile names.";
  };

  config = lib.mkMerge [
    (lib.mkIf (on && tls.kind == "acme-dns") {
      security.acme = {
        acceptTerms = true;
        defaults.email = lib.mkIf (tls.dns.email != null) tls.dns.email;
        certs.berth-previews = byDns // {
          domain = "*.${domain}";
        };
        certs.berth-control = byDns // {
          domain = webhookHost;
          extraDomainNames = lib.optional (dashboardHost != null) dashboardHost;
        };
      };
      systemd.services.caddy = {
        wants = acmeUnits;
        after = acmeUnits;
      };
    })
    (lib.mkIf (on && tls.kind == "cloudflare-origin") {
      # The key stays readable for root alone; Caddy gets a copy of its own, in memory.
      systemd.services.caddy.serviceConfig.LoadCredential = [
        "previews-certificate:${toString tls.previews.certificate}"
        "previews-key:${toString tls.previews.key}"
        "control-certificate:${toString tls.control.certificate}"
        "control-key:${toString tls.control.key}"
      ];
    })
  ];
}
