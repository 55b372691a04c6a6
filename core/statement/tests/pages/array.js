// Third parties, as the settings page shows them.
export const version = "v20250508";
export const thirdParties = [
  {
    name: 'OneTrack SDK',
    company: 'Xiaomi Inc.',
    purpose: 'statistics and data analysis',
    personalType: 'device information',
    officialPrivacyUrl: 'https://dev.mi.com/docs/stat/user_guide/#1',
    serviceType: 'SDK',
    scene: 'when using app features',
    shareType: 'SDK local acquisition',
    dataItems: ['device ID (OAID)', { name: 'page views', detail: 'counts' }, "app ID and channel number"],
  },
  { name: 'Lebo SDK', company: "Shenzhen Lebo Technology Co., Ltd.", purpose: 'recognizing TV model', serviceType: 'SDK', scene: 'casting', shareType: 'SDK local acquisition', dataItems: ['TV name and type'], officialPrivacyUrl: 'https://cdn.hpplay.com.cn/xm/privacy.html', mood: 'good' },
];
