# The dump that a backup takes with it. It has no timer of its own: the backup module starts it first.
{ config, lib, ... }:
{
  config = lib.mkIf (config.berth.features.database && config.berth.features.backup) {
    services.postgresqlBackup = {
      enable = true;
      backupAll = true;
      compression = "zstd";
      location = config.berth.database.dumpFolder;
      startAt = [ ];
    };
  };
}
