# Every text that our modules render for a program which is not Nix, for one host that uses them all. The copies under
# test/fixtures/rendered/ must equal these (golden.test.ts); from the copies, the real programs are tested on machines
# that have no nixpkgs tree.
{
  t,
  root,
  lib,
}:
let
  base = root + "/server-config/hosts/all-in-one-cloud.nix";
  pair = name: {
    certificate = "/var/secrets/${name}.pem";
    key = "/var/secrets/${name}-key.pem";
  };
  byAcme = t.evaluate [
    base
    {
      berth.firewall.deniedAddresses = [
        "203.0.113.7"
        "198.51.100.0/24"
      ];
    }
    # Everything else that a host can have.
    {
      berth.features = lib.genAttrs [
        "autoUpgrade"
        "binaryCache"
        "containersOci"
        "grafana"
        "loki"
        "mesh"
        "prometheus"
        "secrets"
      ] (_: true);
      berth.autoUpgrade.reboot.allow = true;
      berth.binaryCache.serve = {
        address = "10.99.0.1";
        signKeyFile = "/var/secrets/cache-key";
      };
      berth.containersOci.containers.redis = {
        image = "docker.io/library/redis@sha256:${lib.concatStrings (lib.genList (_: "0") 64)}";
        ports."6379" = 6379;
        environment.GREETING = "it's \"50\" $HOME";
        volumes.redis-data = "/data";
      };
      berth.mesh = {
        address = "10.99.0.1";
        privateKeyFile = "/var/secrets/mesh-key";
        peers.worker = {
          publicKey = "${lib.concatStrings (lib.genList (_: "A") 43)}=";
          endpoint = "203.0.113.11:51820";
          address = "10.99.0.2";
          containerRange = "10.102.0.0/16";
        };
      };
      berth.observability = {
        otlp.endpoint = "https://otlp.example.com";
        otlp.authorizationFile = "/var/secrets/otlp";
        grafana.adminPasswordFile = "/var/secrets/grafana-admin";
        grafana.secretKeyFile = "/var/secrets/grafana-key";
      };
      berth.secrets.files.restic-password = {
        source = root + "/test/fixtures/secrets/token.age";
        units = [ "restic-backups-berth" ];
      };
    }
  ];
  byCloudflare = t.evaluate [
    base
    {
      berth.ingress.tls = lib.mkForce {
        kind = "cloudflare-origin";
        previews = pair "previews";
        control = pair "control";
      };
    }
  ];

  caddyfile =
    config: "{\n" + config.services.caddy.globalConfig + "}\n" + config.services.caddy.extraConfig;
  tables = lib.filter (table: table.enable) (lib.attrValues byAcme.networking.nftables.tables);

  # Units that are ours, or that we changed.
  units = lib.filterAttrs (
    name: _:
    lib.hasPrefix "berth-" name
    || lib.elem name [
      "caddy.service"
      "container@.service"
      "machine.slice"
      "opentelemetry-collector.service"
      "restic-backups-berth.service"
    ]
  ) byAcme.systemd.units;
in
{
  "caddy/acme.Caddyfile" = caddyfile byAcme;
  "caddy/cloudflare.Caddyfile" = caddyfile byCloudflare;
  "nftables/tenants.nft" = byAcme.environment.etc."berth/tenants.nft".source.text;
  "nftables/firewall.nft" = lib.concatMapStrings (
    table: "table ${table.family} ${table.name} {\n${table.content}\n}\n"
  ) tables;
  "postgresql/pg_hba.conf" = byAcme.services.postgresql.authentication;
  "postgresql/pg_ident.conf" = byAcme.services.postgresql.identMap;
  "postgresql/rules.sql" = byAcme.berth.database.render.rules;
  "postgresql/settings.json" = builtins.toJSON (
    removeAttrs byAcme.services.postgresql.settings [
      "hba_file"
      "ident_file"
    ]
  );
  "hostctl/hostctl.json" = byAcme.environment.etc."berth/hostctl.json".text;
  "mesh/wg-berth.netdev" = byAcme.systemd.network.units."30-wg-berth.netdev".text;
  "observability/collector.json" = builtins.toJSON byAcme.services.opentelemetry-collector.settings;
  "observability/rules.json" = lib.concatStrings byAcme.services.prometheus.rules;
  "oci/redis.container" = byAcme.environment.etc."containers/systemd/redis.container".text;
  "fail2ban/berth-webhook.conf" = byAcme.environment.etc."fail2ban/filter.d/berth-webhook.conf".text;
  "operator/settings.json" = builtins.toJSON byAcme.berth.previewOperator.settings;
}
// lib.mapAttrs' (name: unit: lib.nameValuePair "units/${name}" unit.text) units
