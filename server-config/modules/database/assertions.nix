{ config, lib, ... }:
let
  cfg = config.berth.database;
  postgres = config.services.postgresql;
in
{
  config.assertions = lib.mkIf config.berth.features.database [
    {
      assertion = postgres.authentication == cfg.render.authentication;
      message = "services.postgresql.authentication was changed: another line could let one preview into another's database. Remove the change; berth.database has the roles.";
    }
    {
      assertion = !(lib.elem cfg.operatorRole [ cfg.tenantsRole cfg.seedsRole ]);
      message = "berth.database.operatorRole is \"${cfg.operatorRole}\", the group of all previews or seeds: every preview would be the operator. Choose another name.";
    }
    {
      assertion = !(lib.elem cfg.operatorRole [ "postgres" "template0" "template1" "public" cfg.webRole ]);
      message = "berth.database.operatorRole \"${cfg.operatorRole}\" is a name of PostgreSQL's own, or the web's. Choose another.";
    }
    {
      assertion = lib.all (user: !(user.ensureClauses.superuser or null == true)) postgres.ensureUsers;
      message = "services.postgresql.ensureUsers makes a superuser: it could read every preview's database. Remove ensureClauses.superuser.";
    }
    {
      assertion = config.berth.features.firewall;
      message = "berth.features.database needs berth.features.firewall: PostgreSQL listens on every address, and nftables says who reaches it.";
    }
  ];
}
