{ config, lib, ... }:
let
  containers = config.berth.containersOci.containers;
  allPorts = lib.concatMap (container: lib.attrNames container.ports) (lib.attrValues containers);
  badNames = lib.filter (name: builtins.match "[a-z][a-z0-9-]{0,62}" name == null) (lib.attrNames containers);
  taken = lib.filter (name: config.systemd.services ? ${name}) (lib.attrNames containers);
  allVolumes = lib.concatMap (container: lib.attrNames container.volumes) (lib.attrValues containers);
  notVolumes = lib.filter (volume: builtins.match "[a-zA-Z0-9][a-zA-Z0-9_.-]*" volume == null) allVolumes;
  allVariables = lib.concatMap (container: lib.attrNames container.environment) (lib.attrValues containers);
  notVariables = lib.filter (name: builtins.match "[A-Za-z_][A-Za-z0-9_]*" name == null) allVariables;
  notPorts = lib.filter (port: builtins.match "[1-9][0-9]{0,4}" port == null || lib.toInt port > 65535) allPorts;
in
{
  config.assertions = lib.mkIf config.berth.features.containersOci [
    {
      assertion = badNames == [ ];
      message = "berth.containersOci.containers: ${lib.concatStringsSep ", " badNames} is no name for a unit. Use lower-case letters, digits and hyphens.";
    }
    {
      assertion = taken == [ ];
      message = "berth.containersOci.containers: this host already has a unit ${lib.concatStringsSep ", " taken}.service. Choose another name.";
    }
    {
      assertion = notPorts == [ ];
      message = "berth.containersOci.containers: ${lib.concatStringsSep ", " notPorts} is no port of the host.";
    }
    {
      assertion = notVolumes == [ ];
      message = "berth.containersOci.containers: ${lib.concatStringsSep ", " notVolumes} is no volume's name. A folder of the host can't be mounted.";
    }
    {
      assertion = notVariables == [ ];
      message = "berth.containersOci.containers: ${lib.concatStringsSep ", " notVariables} is no variable's name.";
    }
    {
      assertion = lib.allUnique allPorts;
      message = "berth.containersOci.containers: two containers want the same port of the host.";
    }
  ];
}
