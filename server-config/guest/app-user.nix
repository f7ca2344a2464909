# The user of the app. The host gives the source tree to this number before the container has ever run, so it may not change.
{
  users.groups.preview.gid = 1000;
  users.users.preview = {
    isNormalUser = true;
    uid = 1000;
    group = "preview";
    home = "/home/preview";
  };
}
