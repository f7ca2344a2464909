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
      berth.firewall.routedFrom = [ "wg-berth" ];
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
      "nix-gc.service"
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
  "operator/settings.json" = builtins.toJSON byAcme.berth.previewOperator.settings;
}
// lib.mapAttrs' (name: unit: lib.nameValuePair "units/${name}" unit.text) units
