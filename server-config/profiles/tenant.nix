# A host lent to one team whose code we do not know: all-in-one without agents, with smaller containers and less
# left lying about.
{ lib, ... }:
{
  berth = {
    features = {
      previewOperator = lib.mkDefault true;
      previewContainers = lib.mkDefault true;
      ingress = lib.mkDefault true;
      database = lib.mkDefault true;
      hardening = lib.mkDefault true;
      observability = lib.mkDefault true;
      backup = lib.mkDefault true;
    };
    previewContainers.limits = {
      memory = lib.mkDefault "1G";
      cpuPercent = lib.mkDefault 100;
      tasks = lib.mkDefault 512;
      allMemoryPercent = lib.mkDefault 70;
    };
    previewContainers.garbage.keepDays = lib.mkDefault 3;
  };
}
